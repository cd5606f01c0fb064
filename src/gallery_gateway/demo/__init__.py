"""An embedded stand-in for the gallery endpoint, with made-up projects and pictures."""
