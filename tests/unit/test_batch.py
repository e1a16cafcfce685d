"""Batches of observations and infos."""

import numpy as np
import pytest

from b2d_zmq.batch import gather_infos, stack
from b2d_zmq.errors import ProtocolError
from b2d_zmq.spaces import observation_space

SPACE = observation_space({"center_image": (4, 6)})


def seen(value):
    sample = SPACE.sample()
    sample["center_image"] = np.full((4, 6, 3), value, np.uint8)
    sample["navigation"]["command"] = value % 6
    return sample


def test_a_batch_has_a_leading_dimension_and_is_contiguous():
    batch = stack(SPACE, [seen(1), seen(2)])
    assert batch["center_image"].shape == (2, 4, 6, 3) and batch["center_image"].flags.c_contiguous
    assert batch["center_image"][:, 0, 0, 0].tolist() == [1, 2]
    assert batch["navigation"]["command"].tolist() == [1, 2]
    assert batch["vehicle_state"]["position"].dtype == np.float32


def test_a_missing_observation_is_nan_or_zero():
    batch = stack(SPACE, [None, seen(3)])
    assert np.isnan(batch["vehicle_state"]["position"][0]).all()
    assert not batch["center_image"][0].any() and batch["center_image"][1].all()


@pytest.mark.parametrize("broken", [{}, {"center_image": 3}, None.__class__, 5])
def test_an_observation_that_does_not_fit_its_space_is_refused(broken):
    with pytest.raises(ProtocolError, match="does not fit the space"):
        stack(SPACE, [seen(1), broken])


def test_a_wrong_shape_is_refused_and_not_broadcast():
    wrong = seen(1)
    wrong["vehicle_state"]["speed"] = np.zeros((), np.float32)
    with pytest.raises(ProtocolError):
        stack(SPACE, [wrong])


def test_infos_in_gymnasiums_form():
    infos = gather_infos([{"a": 1, "deep": {"x": 0.5}, "t": "one"}, None, {"a": 3, "deep": {"x": 1.5}, "late": True}])
    assert infos["a"].tolist() == [1, 0, 3] and infos["_a"].tolist() == [True, False, True]
    assert infos["deep"]["x"].tolist() == [0.5, 0.0, 1.5] and infos["_deep"].tolist() == [True, False, True]
    assert infos["t"].tolist() == ["one", None, None]
    assert infos["late"].tolist() == [False, False, True] and infos["_late"].tolist() == [False, False, True]


def test_infos_of_different_shapes_stand_side_by_side():
    infos = gather_infos([{"route": np.zeros((3, 2))}, {"route": np.ones((5, 2))}])
    assert infos["route"].dtype == object and infos["route"][1].shape == (5, 2)
    assert gather_infos([{"p": np.zeros(2)}, {"p": np.ones(2)}])["p"].tolist() == [[0, 0], [1, 1]]


def test_final_observations_stay_whole():
    infos = gather_infos([{"final_obs": {"x": 1}}, {}])
    assert infos["final_obs"].tolist() == [{"x": 1}, None]
