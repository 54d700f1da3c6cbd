"""The kinds of trials: each makes runs, brings trouble over them, and says what was not as it should be."""
