"""The embedded driving world: road, dynamics, traffic, lights, camera. Deterministic from its seed; no sockets, no clock."""
