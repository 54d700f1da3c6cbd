"""Which task goes to which node, and when."""
