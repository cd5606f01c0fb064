"""What is known about galleries: requests, callers, and how each page is fetched once."""
