"""A document prepared once and run many times."""
