"""The core at work: one lock that owns it, its timers, its time, and what the region offers."""
