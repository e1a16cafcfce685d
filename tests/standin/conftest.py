"""Fixtures for tests of the stand-in with real clients: a server for a module, a synchronous world for a test."""

from __future__ import annotations

import contextlib

import pytest
from standins import StandIn, client_of, wheel


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with the shipped routes."""
    with contextlib.closing(StandIn(tmp_path_factory.mktemp("carla"))) as running:
        yield running


@pytest.fixture
def standin(tmp_path):
    """A factory of servers: ``standin("--hang-at-tick=3", flags=["-nullrhi"])``."""
    with contextlib.ExitStack() as stack:

        def start(*words, **options):
            root = tmp_path / f"carla{len(list(tmp_path.iterdir()))}"
            return stack.enter_context(contextlib.closing(StandIn(root, *words, **options)))

        yield start


@pytest.fixture(scope="module")
def client(server):
    """A client of it."""
    wheel()
    return client_of(server)


@pytest.fixture
def world(client):
    """Its world, synchronous with ticks of 0.05 s, and without what the test leaves in it."""
    world = client.get_world()
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
    world.apply_settings(settings)
    before = {actor.id for actor in world.get_actors()}
    yield world
    world.tick()
    for actor in world.get_actors():
        if actor.id not in before:
            actor.destroy()


@pytest.fixture
def spawn(world):
    """Spawns by type id at one of the map's spawn points, and ticks once."""

    def made(type_id, point=0, **attributes):
        blueprint = world.get_blueprint_library().find(type_id)
        for name, value in attributes.items():
            blueprint.set_attribute(name, value)
        actor = world.spawn_actor(blueprint, world.get_map().get_spawn_points()[point])
        world.tick()
        return actor

    return made
