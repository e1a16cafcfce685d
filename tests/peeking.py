"""A CARLA backend that tells what it holds, for tests that look inside from another process; its patience is short."""

from __future__ import annotations

from worker.backends.carla import link
from worker.backends.carla.backend import CarlaBackend

link._ANSWER = 3.0
link._CONNECT = 3.0


class Peeking(CarlaBackend):
    """``facts`` are plain values."""

    def facts(self):
        """Who and what there is just now."""
        actors = self.link.world.get_actors()
        episode, sensors = self._episode, self.carrier.sensors
        return {
            "loads": self.link.loads,
            "town": self.link.town,
            "ego": self.carrier.ego.id,
            "sensors": sorted(actor.id for actor in actors if actor.type_id.startswith("sensor.")),
            "vehicles": sum(actor.type_id.startswith("vehicle.") for actor in actors),
            "cast": [member.key for member in episode.cast] if episode else [],
            "frame": episode.frame if episode else -1,
            "frames": {key: image.frame for key, image in sensors._pictures.items()},
            "road": len(episode.road.junctions) if episode else -1,
        }
