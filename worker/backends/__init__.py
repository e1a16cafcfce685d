"""What drives a simulator inside a worker."""
