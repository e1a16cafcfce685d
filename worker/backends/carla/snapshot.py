"""The snapshot of an episode on CARLA, format carla-snapshot/1: to bytes, and from bytes with every field checked. No server here.

Plain values and float32 arrays, sealed as every backend's snapshots are; no pickle. Nothing in it names a server, a port, a frame or
an actor id: actors are rows in the order of their spawning with keys, so equal states give equal bytes wherever they were taken.
Units and frame are CARLA's own (metres, degrees, left-handed); columns are those of ``moment``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, List, Tuple

import numpy as np

from b2d_zmq.errors import SnapshotCorrupt

from ...settings import Settings
from ..seal import opened, seal
from .digest import EVERY
from .moment import CONTROL, MOTION, Lamps, Moment
from .traffic import METHODS, Told

NAME, VERSION = "carla", "1"
SCHEMA = "carla-snapshot/1"
KINDS = ("vehicle", "walker", "prop")
CAPABILITIES = {
    "vehicles": "approx",  # engine, wheel spin and suspension can be neither read nor set
    "physics_control": "exact",  # the blueprints' own: nobody changes it
    "doors": "missing",  # can be opened and closed, but not read
    "walkers": "approx",
    "walker_ai": "missing",  # not used: walkers are moved by the scenario
    "traffic_lights_state": "exact",
    "traffic_lights_timer": "approx",  # right to the tick, as remaining time
    "weather": "exact",
    "tm_params": "exact",  # as they were recorded when they were set
    "tm_rng": "missing",  # seeded anew: traffic decides otherwise than it would have
    "scenario": "exact",
    "task": "exact",
    "sensors": "exact",
}
"""What each part of a state is worth when it is transferred rather than replayed."""

MOST_ACTORS, MOST_LAMPS, MOST_TICKS, MOST_LEAD_IN = 2000, 5000, 1_000_000, 100
_MOST_TEXT = 200
_WEATHER = 14  # of CARLA's numbers
_HEX = re.compile(r"[0-9a-f]{16}")
_PARTS = frozenset(
    ("backend", "version", "schema", "server", "map", "opendrive", "dt", "tick", "settings", "actors", "lead_in", "lamps", "weather")
    + ("log", "digests", "origin", "traffic", "episode", "capabilities", "digest")
)


@dataclass(frozen=True)
class Role:
    """One of the cast as it is spawned: ``key`` is the same in every run of the episode."""

    key: str
    type_id: str
    attributes: Dict[str, str]
    kind: str  # one of KINDS
    autopilot: bool


@dataclass(frozen=True)
class State:
    """Everything that a restore needs. ``lead_in`` ends with the present moment; ``origin`` tells how the episode came about."""

    server: str  # CARLA's version
    map: str
    opendrive: str  # blake2b of the map's OpenDRIVE text
    dt: float
    settings: Settings
    roles: Tuple[Role, ...]
    lead_in: Tuple[Moment, ...]
    beams: Any  # uint32 [N]: the vehicles' light states
    lamp_ids: Tuple[str, ...]
    lamps: Lamps
    weather: Any  # float32 [14]
    log: Any  # float32 [T, 3]: throttle, brake, steer of every tick
    digests: Tuple[str, ...]  # at ticks 0, EVERY, 2 EVERY ...
    origin: Tuple[Tuple[str, int], ...]  # (tier, tick) of each transfer since the reset; () where the log alone tells all
    told: Tuple[Told, ...]  # to the traffic manager
    episode: Any  # the episode's own: task, scenario, events
    digest: str

    @property
    def now(self) -> Moment:
        """The present."""
        return self.lead_in[-1]

    @property
    def tick(self) -> int:
        """Ticks since the reset."""
        return len(self.log)

    def data(self) -> bytes:
        """The bytes of the snapshot."""
        return seal(
            {
                "backend": NAME,
                "version": VERSION,
                "schema": SCHEMA,
                "server": self.server,
                "map": self.map,
                "opendrive": self.opendrive,
                "dt": self.dt,
                "tick": self.tick,
                "settings": self.settings.to_plain(),
                "actors": {
                    "keys": [role.key for role in self.roles],
                    "types": [role.type_id for role in self.roles],
                    "attributes": [dict(sorted(role.attributes.items())) for role in self.roles],
                    "kinds": [role.kind for role in self.roles],
                    "autopilot": [role.autopilot for role in self.roles],
                    "beams": self.beams,
                },
                "lead_in": {name: np.stack([getattr(moment, name) for moment in self.lead_in]) for name in Moment._fields},
                "lamps": {"ids": list(self.lamp_ids), **self.lamps._asdict()},
                "weather": self.weather,
                "log": self.log,
                "digests": list(self.digests),
                "origin": [list(each) for each in self.origin],
                "traffic": [[method, key, list(values)] for method, key, values in self.told],
                "episode": self.episode,
                "capabilities": CAPABILITIES,
                "digest": self.digest,
            }
        )


def read(data: Any) -> State:
    """The state in these bytes. Raises SnapshotCorrupt, or SnapshotMismatch for another backend's or version's."""
    tree = opened(data, NAME, VERSION)
    missing = sorted(_PARTS - set(tree))
    if missing or str(tree["schema"]) != SCHEMA:
        raise SnapshotCorrupt(f"not a {SCHEMA} snapshot: {'without ' + ', '.join(missing) if missing else str(tree['schema'])[:60]}")
    try:
        state = _state(tree)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise SnapshotCorrupt(f"a part of this snapshot is not what belongs there: {error!r:.200}") from None
    if type(tree["tick"]) is not int or tree["tick"] != state.tick:
        raise SnapshotCorrupt(f"the snapshot says tick {str(tree['tick'])[:20]} and has {state.tick} actions")
    return state


def _state(tree: Dict[str, Any]) -> State:
    roles = _roles(tree["actors"])
    log = _array(tree["log"], np.float32, (None, 3), MOST_TICKS)
    digests = [_matching(each, _HEX) for each in _listed(tree["digests"])]
    if len(digests) != len(log) // EVERY + 1:
        raise ValueError(f"{len(digests)} digests for {len(log)} ticks")
    lamp_ids = tuple(_text(each) for each in _listed(tree["lamps"]["ids"]))
    if len(set(lamp_ids)) != len(lamp_ids) or len(lamp_ids) > MOST_LAMPS:
        raise ValueError("traffic lights that are there twice, or too many")
    return State(
        server=_text(tree["server"]),
        map=_text(tree["map"]),
        opendrive=_matching(tree["opendrive"], re.compile(r"[0-9a-f]{32}")),
        dt=_dt(tree["dt"]),
        settings=Settings.from_plain(tree["settings"]),
        roles=roles,
        lead_in=_lead_in(tree["lead_in"], len(roles)),
        beams=_array(tree["actors"]["beams"], np.uint32, (len(roles),)),
        lamp_ids=lamp_ids,
        lamps=_lamps(tree["lamps"], len(lamp_ids)),
        weather=_array(tree["weather"], np.float32, (_WEATHER,)),
        log=log,
        digests=tuple(digests),
        origin=tuple(_origin(each, len(log)) for each in _listed(tree["origin"])),
        told=tuple(_told(each) for each in _listed(tree["traffic"])),
        episode=tree["episode"],
        digest=_matching(tree["digest"], _HEX),
    )


def _roles(tree: Dict[str, Any]) -> Tuple[Role, ...]:
    columns = [_listed(tree[name]) for name in ("keys", "types", "attributes", "kinds", "autopilot")]
    count = len(columns[0])
    if not 1 <= count <= MOST_ACTORS or any(len(column) != count for column in columns):
        raise ValueError("columns of unequal length, or none, or too many actors")
    roles = tuple(Role(_text(key), _text(type_id), _attributes(given), kind, flag) for key, type_id, given, kind, flag in zip(*columns))
    if len({role.key for role in roles}) != count:
        raise ValueError("two actors of one key")
    if any(role.kind not in KINDS or type(role.autopilot) is not bool for role in roles) or roles[0].kind != "vehicle":
        raise ValueError("an actor of no known kind, or an ego that is no vehicle")
    return roles


def _lead_in(tree: Dict[str, Any], actors: int) -> Tuple[Moment, ...]:
    motion = _array(tree["motion"], np.float32, (None, actors, MOTION), MOST_LEAD_IN)
    control = _array(tree["control"], np.float32, (len(motion), actors, CONTROL))
    alive = _array(tree["alive"], np.bool_, (len(motion), actors))
    if not len(motion) or not alive[:, 0].all():
        raise ValueError("no moment, or one without the ego")
    return tuple(Moment(*rows) for rows in zip(motion, control, alive))


def _lamps(tree: Dict[str, Any], lamps: int) -> Lamps:
    state, turn = _array(tree["state"], np.uint8, (lamps,)), _array(tree["turn"], np.bool_, (lamps,))
    left, times = _array(tree["left"], np.float32, (lamps,)), _array(tree["times"], np.float32, (lamps, 3))
    if (state > 4).any() or (left < 0.0).any() or (times < 0.0).any():
        raise ValueError("a traffic light of no known state, or with a time below nothing")
    return Lamps(state, turn, left, times, _array(tree["frozen"], np.bool_, (lamps,)))


def _array(value: Any, kind: Any, shape: Tuple[int | None, ...], most: int = 0) -> Any:
    """An array of that dtype and shape (None: up to ``most``), all of it finite."""
    if not isinstance(value, np.ndarray) or value.dtype != kind or value.ndim != len(shape):
        raise ValueError(f"an array of {np.dtype(kind)} with {len(shape)} dimensions is wanted")
    if any(size != (wanted if wanted is not None else min(size, most)) for size, wanted in zip(value.shape, shape)):
        raise ValueError(f"an array of shape {value.shape} where {shape} is wanted")
    if not np.isfinite(value).all():
        raise ValueError("a number that is none")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MOST_TEXT:
        raise ValueError("a short text is wanted")
    return value


def _matching(value: Any, pattern: Any) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError("a hash in hex digits is wanted")
    return value


def _listed(value: Any) -> List[Any]:
    if not isinstance(value, list):
        raise ValueError("a list is wanted")
    return value


def _attributes(value: Any) -> Dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("an actor's attributes are a map of texts")
    return {_text(name): _text(text) for name, text in value.items()}


def _origin(value: Any, ticks: int) -> Tuple[str, int]:
    tier, tick = value
    if type(tick) is not int or not 0 <= tick <= ticks:
        raise ValueError("a transfer at a tick that is none")
    return _text(tier), tick


def _told(value: Any) -> Told:
    method, key, values = value
    sort, about_one = METHODS.get(method, (None, False))
    if [type(each) for each in _listed(values)] != [sort] or not abs(values[0]) < 2**31 or bool(_text(key)) != about_one:
        raise ValueError("something that nobody tells a traffic manager")
    return method, key, tuple(values)


def _dt(value: Any) -> float:
    if type(value) is not float or not 0.0 < value <= 1.0:
        raise ValueError("a tick of no length")
    return value
