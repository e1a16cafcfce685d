"""The size of an actor, as CARLA tells it or, where that is none, as its kind has it."""

from types import SimpleNamespace

import pytest

from worker.backends.carla.looks import lift_of, look_of
from worker.world import crowd
from worker.world.actors import ActorKind


def box(x, y, z, up=0.0):
    return SimpleNamespace(extent=SimpleNamespace(x=x, y=y, z=z), location=SimpleNamespace(z=up))


def test_a_sound_box_is_believed():
    assert look_of(ActorKind.BICYCLE, box(0.8, 0.2, 0.9)) == crowd.Look(ActorKind.BICYCLE, 1.6, 0.4, 1.8)
    assert lift_of(ActorKind.CAR, box(2.4, 0.9, 0.75, up=0.7)) == pytest.approx(0.05)
    assert lift_of(ActorKind.WALKER, box(0.2, 0.2, 0.9)) == 0.9


@pytest.mark.parametrize("wrong", [box(0.8, 0.0, 0.9), box(0.8, 0.2, 250.0), box(float("inf"), 0.2, 0.9), box(0.8, float("nan"), 0.9)])
def test_a_box_that_cannot_be_is_not(wrong):
    """Bicycles of 0 m in width and of 250 m in height are known of CARLA."""
    assert look_of(ActorKind.BICYCLE, wrong) == crowd.BICYCLE and lift_of(ActorKind.BICYCLE, wrong) == 0.0
    assert look_of(ActorKind.WALKER, wrong) == crowd.WALKER and lift_of(ActorKind.WALKER, wrong) == crowd.WALKER.height / 2


def test_a_place_that_cannot_be_is_none_either():
    assert lift_of(ActorKind.CAR, box(2.0, 0.9, 0.7, up=float("nan"))) == 0.0
