"""One event loop for each way to synchronize, and the loop of the threads that replay what they schedule."""
