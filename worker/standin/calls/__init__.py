"""What the server answers to each call, by topic."""
