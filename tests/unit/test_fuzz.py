"""Every decoder, fed with bytes and with nearly valid inputs: taken, or refused by name. ``make fuzz`` does it at length."""

from __future__ import annotations

import logging
import random

import pytest
from fuzztargets import TARGETS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.filterwarnings("ignore")  # numpy warns of nonsense before it is refused
FEW = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", TARGETS)
def test_valid_inputs_are_taken(name):
    target = TARGETS[name]()
    assert any(target.read(seed) for seed in target.seeds)


@pytest.mark.parametrize("name", TARGETS)
@FEW
@given(st.binary(max_size=400))
def test_any_bytes_are_taken_or_refused(name, data):
    TARGETS[name]().read(data)


@pytest.mark.parametrize("name", TARGETS)
@FEW
@given(st.integers(0, 2**63))
def test_nearly_valid_inputs_are_taken_or_refused(name, seed):
    target = TARGETS[name]()
    target.read(target.input(random.Random(seed)))
