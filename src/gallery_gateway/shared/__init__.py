"""What several processes share through Redis or Valkey: pages, who fetches them, and whose were purged."""
