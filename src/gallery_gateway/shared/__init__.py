"""The cache that processes share through Redis or Valkey."""
