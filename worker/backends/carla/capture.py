"""What an episode on CARLA keeps at every tick so that it can be branched: the last moments, whose turn the lights have, and digests.

Everything is read from one world snapshot, without a call. A tick costs one short read per actor; arrays are made only when asked for.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Deque, List, NamedTuple, Sequence, Tuple

import numpy as np

from .digest import EVERY, digest
from .lamps import LampWatch
from .moment import Moment, moment
from .snapshot import Role

WEATHER = (
    "cloudiness",
    "precipitation",
    "precipitation_deposits",
    "wind_intensity",
    "sun_azimuth_angle",
    "sun_altitude_angle",
    "fog_density",
    "fog_distance",
    "fog_falloff",
    "wetness",
    "scattering_intensity",
    "mie_scattering_scale",
    "rayleigh_scattering_scale",
    "dust_storm",
)
LEAD_IN = 10  # ticks before the present that a snapshot carries


class _Seen(NamedTuple):
    snapshot: Any  # carla.WorldSnapshot
    controls: List[Any]  # of each actor: its carla control, None for a prop and for who is gone


class Watch:
    """See the module's text. ``actors`` are the cast's, the ego first; ``digests`` one every EVERY ticks from tick 0 on."""

    def __init__(self, actors: Sequence[Any], lamps: LampWatch) -> None:
        self.lamps = lamps
        self.digests: List[str] = []
        self.hire(actors)

    def hire(self, actors: Sequence[Any]) -> None:
        """The cast is played by these from now on; what was seen of others is forgotten."""
        self.actors = list(actors)
        self._ids = [actor.id for actor in actors]
        self._ring: Deque[_Seen] = deque(maxlen=LEAD_IN + 1)
        self._now: Moment | None = None
        self._read = [kind_of(actor.type_id) != "prop" for actor in actors]

    def see(self, snapshot: Any) -> None:
        """After each tick, with its snapshot."""
        controls = [
            actor.get_control() if reads and actor.is_alive and snapshot.has_actor(actor_id) else None
            for actor, actor_id, reads in zip(self.actors, self._ids, self._read)
        ]
        self._ring.append(_Seen(snapshot, controls))
        self._now = None
        self.lamps.see()

    def now(self) -> Moment:
        """The present."""
        if self._now is None:
            self._now = self._moment(self._ring[-1])
        return self._now

    def lead_in(self) -> Tuple[Moment, ...]:
        """The last moments, the present at the end."""
        return tuple(self._moment(seen) for seen in self._ring)

    def digest(self, told: Any) -> str:
        """The digest of the present and of ``told`` (plain values)."""
        lamps = self.lamps
        return digest(told, self.now(), lamps.state(), lamps.turn)

    def roll(self, tick: int, told: Any) -> None:
        """Keep the digest of this tick where it is one of those that are kept."""
        if tick % EVERY == 0:
            del self.digests[tick // EVERY :]
            self.digests.append(self.digest(told))

    def _moment(self, seen: _Seen) -> Moment:
        rows = [_motion(seen.snapshot.find(actor_id)) for actor_id in self._ids]
        return moment(rows, [_numbers(control) for control in seen.controls])


def kind_of(type_id: str) -> str:
    """What sort of actor that is, one of ``snapshot.KINDS``."""
    return {"vehicle": "vehicle", "walker": "walker"}.get(type_id.split(".", 1)[0], "prop")


def roles(actors: Sequence[Any], keys: Sequence[str], autopilot: Sequence[bool]) -> Tuple[Role, ...]:
    """The cast as it can be spawned again."""
    return tuple(
        Role(
            key, str(actor.type_id), {str(name): str(value) for name, value in actor.attributes.items()}, kind_of(actor.type_id), bool(flag)
        )
        for key, actor, flag in zip(keys, actors, autopilot)
    )


def beams(world: Any, actors: Sequence[Any]) -> Any:
    """uint32 [N]: the light states of the vehicles among them, in one call."""
    shown = {int(actor_id): int(state) for actor_id, state in world.get_vehicles_light_states().items()}
    return np.array([shown.get(actor.id, 0) for actor in actors], np.uint32)


def weather(world: Any) -> Any:
    """float32 [14]: CARLA's weather."""
    now = world.get_weather()
    return np.array([getattr(now, name) for name in WEATHER], np.float32)


def _motion(found: Any) -> Tuple[float, ...] | None:
    if found is None:
        return None
    transform, velocity, spin = found.get_transform(), found.get_velocity(), found.get_angular_velocity()
    place, turn = transform.location, transform.rotation
    return place.x, place.y, place.z, turn.pitch, turn.yaw, turn.roll, velocity.x, velocity.y, velocity.z, spin.x, spin.y, spin.z


def _numbers(control: Any) -> Tuple[float, ...]:
    """A control as the columns of ``Moment.control``."""
    if control is None:
        return ()
    if hasattr(control, "direction"):
        ahead = control.direction
        return ahead.x, ahead.y, ahead.z, control.speed, float(control.jump)
    return (
        control.throttle,
        control.steer,
        control.brake,
        float(control.hand_brake),
        float(control.reverse),
        float(control.manual_gear_shift),
        float(control.gear),
    )
