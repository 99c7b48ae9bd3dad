"""One event loop for each way to synchronize."""
