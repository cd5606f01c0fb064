"""The graph that clients see."""
