"""The two dialects of CARLA's protocol, one row each: a server cannot see which one its client speaks, so it is a setting.

Rule: whatever differs between 0.9.15 and 0.9.16 stands in this table and nowhere else.
"""

from __future__ import annotations

from typing import Dict, FrozenSet, NamedTuple

_TYPES = ("bool", "int", "float", "string", "rgb")


class Dialect(NamedTuple):
    """What a server of this version does in its own way."""

    version: str
    state_index: int  # sensor type of the world-state stream
    first_type: int  # number of the first attribute type, bool
    short_spawn: bool  # SpawnActor commands have no attachment type and no socket, spawn_actor_with_parent has no socket
    absent: FrozenSet[str]  # calls that this version has not
    tells_map: bool  # whether the first packet of an episode says that the map changed

    def types(self) -> Dict[str, int]:
        """Attribute type -> its number."""
        return {name: self.first_type + index for index, name in enumerate(_TYPES)}


_LATER = (
    "get_telemetry_data", "set_wheel_pitch_angle", "get_wheel_pitch_angle", "restore_physx_physics",
    "get_vehicle_bone_world_transforms", "get_actor_component_names", "get_actor_bone_names", "get_actor_socket_names",
    "get_actor_component_world_transform", "get_actor_component_relative_transform", "get_actor_bone_world_transforms",
    "get_actor_bone_relative_transforms", "get_actor_socket_world_transforms", "get_actor_socket_relative_transforms",
    "get_actor_bounding_box", "enable_gbuffers", "are_gbuffers_enabled", "set_ignored_vehicles", "send", "get_imui_gravity",
    "set_imui_gravity", "set_annotations_traverse_translucency", "clear_debug_shape", "clear_debug_string",
)  # fmt: skip

# 0.9.15 keeps its episode over a load and asks for the map again only when told; 0.9.16 takes a new episode for that, and when it is told
# besides it now and then dies of it (1 load in 100: the flag has it reset its traffic managers in the thread of the stream).
DIALECTS: Dict[str, Dialect] = {
    "0.9.15": Dialect("0.9.15", state_index=16, first_type=0, short_spawn=True, absent=frozenset(_LATER), tells_map=True),
    "0.9.16": Dialect("0.9.16", state_index=17, first_type=1, short_spawn=False, absent=frozenset(), tells_map=False),
}
