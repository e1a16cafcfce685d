"""The contact sheet and the bird's-eye view: sizes, places, colours, and inputs at the edge."""

from __future__ import annotations

import numpy as np
import pytest

from b2d_zmq.picture import (
    ASPHALT,
    CHOSEN,
    ONCOMING,
    PAPER,
    VERGE,
    WIDTH,
    Caption,
    Row,
    Track,
    birds_eye,
    color_of,
    contact_sheet,
    inner_width,
)

ROUTE = np.stack([np.arange(0.0, 200.0, 2.0), np.zeros(100)], axis=1)
LANES = [(-3.5, 3.5, -1), (0.0, 3.5, 1), (3.5, 3.5, 1), (6.25, 2.0, 0)]
SIZE = (900, 400)


def frames(n, color=(10, 20, 30), shape=(512, 1024, 3)):
    return [np.full(shape, color, np.uint8) for _ in range(n)]


def places_of(picture, color):
    return np.argwhere((picture == np.asarray(color, np.uint8)).all(axis=2))


def straight(length, sideways=0.0):
    t = np.linspace(0.0, 1.0, 30)
    return np.stack([50.0 + length * t, sideways * t * t], axis=1)


def test_a_sheet_has_a_band_per_row_and_the_picture_below():
    rows = [Row(f"branch {i}", color_of(i), [Caption("return +1.00")], frames(6), ["+0.0 s"] * 6) for i in range(3)]
    below = np.full((200, inner_width(), 3), 77, np.uint8)
    sheet = contact_sheet("title", "subtitle", rows, below)
    assert sheet.shape[1:] == (WIDTH, 3)
    assert sheet.dtype == np.uint8
    for i in range(3):
        assert len(places_of(sheet, color_of(i))), f"row {i} has no colour mark"
    tiles = places_of(sheet, (10, 20, 30))
    assert len({y for y, _ in tiles}) == 3 * 111  # three rows of tiles, 222 wide, in the frames' own proportion
    assert (sheet[-100:, 100:200] == 77).any()


def test_frames_keep_their_proportions_and_never_touch_the_captions():
    square = Row("a", color_of(0), [Caption("x" * 200)], frames(1, shape=(300, 300, 3)))
    tile = places_of(contact_sheet("t", "s", [square]), (10, 20, 30))
    high, wide = tile.max(axis=0) - tile.min(axis=0) + 1
    assert abs(int(high) - int(wide)) <= 1
    assert tile[:, 1].min() >= 250


def test_only_the_selected_row_is_marked():
    plain = contact_sheet("t", "s", [Row("a", color_of(0), (), frames(2))])
    chosen = contact_sheet("t", "s", [Row("a", color_of(0), (), frames(2), chosen=True)])
    assert not len(places_of(plain, CHOSEN))
    assert len(places_of(chosen, CHOSEN))


def test_a_rig_without_cameras_still_makes_a_sheet():
    sheet = contact_sheet("t", "s", [Row("a", color_of(0), [Caption("return -1.00")])])
    assert sheet.shape[0] > 150
    assert (sheet[0, 0] == PAPER).all()


@pytest.mark.parametrize("heading", [0.0, 90.0, 180.0, -135.0])
def test_seen_from_above_the_fork_heads_to_the_right_and_right_is_down(heading):
    """CARLA's frame is left-handed: a right turn must end lower in the picture, whatever the heading."""
    turn = np.radians(heading)
    ahead, right = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    t = np.linspace(0.0, 1.0, 20)[:, None]
    tracks = [
        Track("right", (1, 2, 200), 30 * t * ahead + 8 * t * t * right),
        Track("left", (200, 2, 1), 30 * t * ahead - 8 * t * t * right),
    ]
    picture = birds_eye(t * 100 * ahead, LANES, tracks, (0.0, 0.0), heading, size=SIZE)
    below, above = places_of(picture[100:], (1, 2, 200)), places_of(picture[100:], (200, 2, 1))
    assert below[:, 0].mean() > above[:, 0].mean()
    far = below[below[:, 1].argmax()]
    assert far[0] > below[below[:, 1].argmin()][0]


def test_every_track_fits_into_the_picture():
    tracks = [Track("far", (250, 0, 1), straight(140.0, 60.0)), Track("near", (0, 250, 1), straight(5.0))]
    picture = birds_eye(ROUTE, LANES, tracks, (50.0, 0.0), 0.0, size=SIZE)
    for color in ((250, 0, 1), (0, 250, 1)):
        y, x = places_of(picture, color).max(axis=0)
        assert y < SIZE[1] - 20 and x < SIZE[0] - 20
    assert picture.shape == (SIZE[1], SIZE[0], 3)


def test_a_crash_is_crossed_out():
    calm = birds_eye(ROUTE, LANES, [Track("a", (0, 0, 250), straight(30.0))], (50.0, 0.0), 0.0, size=SIZE)
    crash = birds_eye(ROUTE, LANES, [Track("a", (0, 0, 250), straight(30.0), crash=True)], (50.0, 0.0), 0.0, size=SIZE)
    red = (200, 20, 20)
    assert not len(places_of(calm, red))
    assert len(places_of(crash, red))


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.array([[50.0, 0.0]]), np.array([[50.0, 0.0]] * 9)])
def test_no_path_one_point_and_standing_still_are_drawn(points):
    assert birds_eye(ROUTE, LANES, [Track("a", (9, 9, 9), points)], (50.0, 0.0), 0.0, size=SIZE).shape == (400, 900, 3)


def test_a_route_of_many_kilometres_does_not_overflow():
    far = np.stack([np.linspace(-2e6, 2e6, 1000), np.zeros(1000)], axis=1)
    picture = birds_eye(far, LANES, [Track("a", (9, 9, 9), straight(20.0))], (50.0, 0.0), 0.0, size=SIZE)
    assert picture.std() > 0


def test_lanes_lie_where_they_are_said_to():
    picture = birds_eye(ROUTE, LANES, [Track("a", (9, 9, 9), straight(20.0))], (50.0, 0.0), 0.0, size=SIZE)
    oncoming, own, verge = (places_of(picture, color)[:, 0].mean() for color in (ONCOMING, ASPHALT, VERGE))
    assert oncoming < own < verge


def test_a_road_whose_lanes_nobody_told_is_drawn_without():
    picture = birds_eye(ROUTE, np.zeros((0, 3)), [Track("a", (9, 9, 9), straight(20.0))], (50.0, 0.0), 0.0, size=SIZE)
    assert not len(places_of(picture, ASPHALT))
