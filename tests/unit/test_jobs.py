"""The jobs, on a backend that only counts: what fits in one message is known before it is driven."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from faulty import Counts

from b2d_zmq import codec, spaces
from b2d_zmq.errors import RequestError, UnknownOption
from b2d_zmq.protocol import Kind
from worker.jobs import Jobs, describe


class Pictures(Counts):
    """One picture of 16 x 16."""

    @property
    def traits(self):
        return dataclasses.replace(super().traits, observation_space=spaces.observation_space({"image": (16, 16)}))


def rollout(backend, steps, observations="all", limit=1 << 20):
    jobs = Jobs(backend, limit)
    jobs.run(Kind.RESET, {"seed": 1, "options": {}})
    return jobs.run(Kind.ROLLOUT, {"actions": np.zeros((steps, 3)), "observations": observations})


def test_a_rollout_with_more_arrays_than_frames_is_refused_before_it_is_driven():
    backend = Pictures()
    assert len(rollout(backend, 60)["observations"]) == 60
    with pytest.raises(RequestError, match=r"a rollout of 61 steps .* the most is 60 steps"):
        rollout(backend, 61)
    assert backend.steps == 0
    assert rollout(backend, 61, "last")["tick"] == 62


def test_a_rollout_with_more_bytes_than_a_message_is_refused_before_it_is_driven():
    with pytest.raises(RequestError, match=r"the most is 13"):
        rollout(Pictures(), 14, limit=10_000)


def test_without_pictures_all_observations_of_a_long_rollout_fit():
    assert len(rollout(Counts(), 500)["observations"]) == 500


def test_only_the_last_observation_is_kept_unless_all_are_wanted():
    reply = rollout(Counts(), 5, "last")
    assert reply["observation"]["vehicle_state"]["speed"].tolist() == [6.0]
    assert "observations" not in reply


def test_a_description_names_what_two_workers_must_share():
    told = describe(Counts())
    assert told["profile"] == describe(Counts())["profile"] != describe(Pictures())["profile"]
    assert spaces.from_wire(told["action_space"]) == spaces.action_space()


def test_a_restore_may_name_its_tier_and_a_tier_that_is_none_is_refused_by_name():
    backend = Counts()
    jobs = Jobs(backend, 1 << 20)
    data = np.frombuffer(b"41", np.uint8)
    for named in ({}, {"tier": ""}, {"tier": "exact"}):
        assert jobs.run(Kind.RESTORE, {"data": data, **named})["tick"] == 41
    with pytest.raises(UnknownOption, match="no tier 'transfer'; this worker's backend counts restores by exact"):
        jobs.run(Kind.RESTORE, {"data": np.frombuffer(b"7", np.uint8), "tier": "transfer"})
    with pytest.raises(RequestError, match="tier of a restore must be a text such as 'exact'; got 7"):
        jobs.run(Kind.RESTORE, {"data": data, "tier": 7})
    assert backend.tick == 41


def test_a_rollout_with_more_small_values_than_a_body_is_refused_before_it_is_driven():
    backend = Counts()
    with pytest.raises(RequestError, match=r"a rollout of \d+ steps .* the most is \d+ steps") as caught:
        rollout(backend, 8192)
    assert backend.steps == 0
    most = int(str(caught.value).rpartition("the most is ")[2].split()[0])
    reply = rollout(backend, 2)
    reply.update(observations=reply["observations"][:1] * most, digests=reply["digests"][:1] * most)
    assert len(codec.decode([bytes(frame) for frame in codec.encode(reply)])["observations"]) == most > 2000


def test_a_rollout_of_more_steps_than_a_list_has_room_for_is_refused_before_it_is_driven():
    backend = Counts()
    with pytest.raises(RequestError, match=r"8193 steps.*8192 at most"):
        rollout(backend, 8193, "last")
    assert backend.steps == 0
