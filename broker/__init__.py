"""The process with the ROUTER socket: who is alive, who holds whom, what waits."""
