"""The worker loop of each scheme, and the steps that they share."""
