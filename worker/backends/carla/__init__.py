"""The carla backend: Bench2Drive's routes on a real CARLA server, over the same road, expert, scenarios and task as the embedded world."""
