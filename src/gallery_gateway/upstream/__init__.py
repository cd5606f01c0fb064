"""The REST endpoint: its contract, the client, and the translation of its failures."""
