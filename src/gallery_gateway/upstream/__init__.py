"""The REST API: its contract, a client for it, and what protects it and its callers from each other."""
