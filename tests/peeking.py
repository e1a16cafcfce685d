"""A CARLA backend that tells what it holds, for tests that look inside from another process; its patience is short."""

from __future__ import annotations

import importlib

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

    def census(self):
        """How many there are of each sort."""
        actors = self.link.world.get_actors()
        return {kind: len(actors.filter(f"{kind}.*")) for kind in ("vehicle", "walker", "static.prop", "sensor")}

    def stumble(self, where, name, calls):
        """Have the so-many-th call of that function or method of the backend's fail, once, as the wheel's calls do."""
        module, _, cls = where.partition(".")
        owner = importlib.import_module(f"worker.backends.carla.{module}")
        owner = getattr(owner, cls) if cls else owner
        real, left = getattr(owner, name), [calls]

        def failing(*arguments):
            left[0] -= 1
            if left[0]:
                return real(*arguments)
            setattr(owner, name, real)
            raise RuntimeError("stumbled")

        setattr(owner, name, failing)

    def lose_ego(self):
        """Take the ego away, as another client would."""
        self.carrier.ego.destroy()
        self.link.tick()
