"""What is known of a run while it goes on and after: its journal, and what follows from that alone."""
