"""What the demo saw, as plain values, and how it is told: a table for the terminal, a picture, a JSON record.

Acts on nothing but the two files it is asked to write.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import cv2
import numpy as np

from .picture import FAINT, LIVE, Caption, Row, Track, birds_eye, color_of, contact_sheet, inner_width
from .records import plain

COLUMNS = 6  # frames of a row
_BAD = (190, 24, 24)
_GOOD = (22, 120, 72)


@dataclass
class Moment:
    """One step of a drive as the picture needs it: seconds since the fork, place (m), speed (m/s), and a frame where one is shown."""

    seconds: float
    place: Tuple[float, float]
    speed: float
    frame: Any = None


@dataclass
class Drive:
    """One branch, or the live drive after the selection."""

    name: str
    moments: List[Moment] = field(default_factory=list)
    rewards: List[float] = field(default_factory=list)
    terms: Dict[str, float] = field(default_factory=dict)
    digests: List[str] = field(default_factory=list)
    ended: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)  # of the last step

    def note(self, reward: float, info: Mapping[str, Any], moment: Moment, over: bool) -> None:
        """Take down one step; ``over`` when it was the episode's last."""
        self.moments.append(moment)
        self.rewards.append(float(reward))
        self.digests.append(str(info["digest"]))
        self.info = info
        self.ended = reason(info) if over else ""
        for term, amount in info.get("reward_terms", {}).items():
            self.terms[term] = self.terms.get(term, 0.0) + float(amount)

    @property
    def path(self) -> Any:
        """Where it went, float [T, 2]."""
        return np.asarray([moment.place for moment in self.moments], np.float64).reshape(-1, 2)


@dataclass
class Story:
    """Everything that happened. ``info`` and ``heading`` are of the decision point, ``route`` and ``lanes`` as birds_eye takes them."""

    info: Dict[str, Any]
    seed: int
    route: Any
    lanes: Any
    approach: List[Tuple[float, float]]
    snapshot: Dict[str, Any]
    start: Dict[str, Any]
    branches: List[Drive]
    returns: List[float]
    advantages: List[float]
    chosen: int
    live: Drive
    timings: Dict[str, float]

    @property
    def heading(self) -> float:
        """The vehicle's heading at the fork, in degrees."""
        return float(self.info["vehicle_state"]["rotation"]["yaw"])


def reason(info: Mapping[str, Any]) -> str:
    """Why an episode ended, for people."""
    if "collision" in info:
        return f"collision: {info['collision']}"
    return str(info.get("termination", "out of time"))


def restored(told: Mapping[str, Any]) -> str:
    """What a restore says of its truth, in a line."""
    ego = told["ego"]
    off = f"ego off by {ego['position']:.3f} m, {ego['speed']:.2f} m/s, {ego['yaw']:.2f} deg"
    return f"{told['tier']}: {told['verdict']}, {off}, {told['ticks']} ticks in {told['seconds']:.1f} s"


def shown_steps(steps: int) -> List[int]:
    """Which steps of a drive get a frame: COLUMNS of them, the first (0) and the last among them."""
    return sorted({round(i * steps / (COLUMNS - 1)) for i in range(COLUMNS)})


def table(story: Story) -> str:
    """Returns, advantages and the reward terms that differ from zero, one line per branch; the selected one is marked."""
    terms = [term for term in story.branches[0].terms if any(abs(drive.terms.get(term, 0.0)) > 5e-4 for drive in story.branches)]
    heads = ["", "branch", "steps", "return", "advantage", *terms, "ended"]
    rows = []
    for i, drive in enumerate(story.branches):
        amounts = [f"{drive.terms.get(term, 0.0):+.2f}" for term in terms]
        mark = ">" if i == story.chosen else ""
        numbers = [str(len(drive.rewards)), f"{story.returns[i]:+.3f}", f"{story.advantages[i]:+.3f}"]
        rows.append([mark, drive.name, *numbers, *amounts, drive.ended or "-"])
    wide = [max(len(row[k]) for row in [heads, *rows]) for k in range(len(heads))]
    left = (1, len(heads) - 1)
    return "\n".join(
        " ".join(text.ljust(w) if k in left else text.rjust(w) for k, (text, w) in enumerate(zip(row, wide))).rstrip()
        for row in [heads, *rows]
    )


def record(story: Story) -> Dict[str, Any]:
    """Everything as values that JSON knows; a number that is not finite becomes None."""
    result: Dict[str, Any] = plain(
        {
            "route_id": int(story.info["route_id"]),
            "town": str(story.info["town"]),
            "scenario": str(story.info["scenario"]["type"]),
            "weather": str(story.info["weather"]),
            "seed": story.seed,
            "snapshot": story.snapshot,
            "start": story.start,
            "branches": [
                {**_drive(drive), "return": story.returns[i], "advantage": story.advantages[i], "selected": i == story.chosen}
                for i, drive in enumerate(story.branches)
            ],
            "selected": story.chosen,
            "live": {**_drive(story.live), "return": sum(story.live.rewards)},
            "seconds": {name: round(value, 4) for name, value in story.timings.items()},
        }
    )
    return result


def draw(story: Story, path: Path) -> None:
    """Write the contact sheet as a PNG: a row per branch, a row for the live drive, and all paths from above."""
    rows = [_branch_row(story, i) for i in range(len(story.branches))] + [_live_row(story)]
    scenario, snapshot = story.info["scenario"], story.snapshot
    title = f"Route {story.info['route_id']}, {story.info['town']}: {len(story.branches)} branches of one snapshot"
    subtitle = f"{scenario['type']}, seed {story.seed}; snapshot at tick {snapshot['tick']}, digest {snapshot['digest']}; {_start(story)}"
    sheet = contact_sheet(title, subtitle, rows, _from_above(story), columns=COLUMNS)
    _, picture = cv2.imencode(".png", sheet[:, :, ::-1])
    path.write_bytes(picture.tobytes())


def _start(story: Story) -> str:
    """How alike the branches start, in words."""
    start = story.start
    if start["tier"] == "exact":
        return "all branches start bit-identical" if start["identical"] else "BRANCHES DIFFER AT THE START"
    words = [told["verdict"] for told in start["fidelity"] if told is not None]
    return f"restored by {start['tier']}: " + ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))


def _branch_row(story: Story, i: int) -> Row:
    drive = story.branches[i]
    advantage = story.advantages[i]
    captions = [
        Caption(f"return {story.returns[i]:+.2f}"),
        Caption(f"advantage {advantage:+.2f}", _GOOD if advantage > 0 else _BAD if advantage < 0 else FAINT),
    ]
    if i == story.chosen:
        captions.append(Caption("selected", _GOOD))
    if drive.ended:
        captions.append(Caption(drive.ended, _BAD))
    return _row(drive, color_of(i), captions, i == story.chosen)


def _live_row(story: Story) -> Row:
    live, chosen = story.live, story.branches[story.chosen].name
    captions = [Caption(f"goes on from {chosen}"), Caption(f"reward {sum(live.rewards):+.2f} in {len(live.rewards)} steps")]
    if live.ended:
        captions.append(Caption(live.ended, FAINT))
    return _row(live, LIVE, captions, False)


def _row(drive: Drive, color: Tuple[int, int, int], captions: Sequence[Caption], chosen: bool) -> Row:
    framed = [moment for moment in drive.moments if moment.frame is not None]
    times = [f"+{moment.seconds:.2f} s   {moment.speed:.1f} m/s" for moment in framed]
    return Row(drive.name, color, captions, [moment.frame for moment in framed], times, chosen)


def _from_above(story: Story) -> Any:
    tracks = [Track("approach", FAINT, np.asarray(story.approach[-25:]))]
    tracks += [
        Track(drive.name, color_of(i), drive.path, crash=drive.ended.startswith("collision")) for i, drive in enumerate(story.branches)
    ]
    tracks.append(Track("live, after the selection", LIVE, story.live.path, crash=story.live.ended.startswith("collision"), wide=True))
    origin = story.branches[0].moments[0].place
    return birds_eye(story.route, story.lanes, tracks, origin, story.heading, size=(inner_width(), 430))


def _drive(drive: Drive) -> Dict[str, Any]:
    return {
        "name": drive.name,
        "steps": len(drive.rewards),
        "ended": drive.ended,
        "rewards": drive.rewards,
        "terms": drive.terms,
        "digests": drive.digests,
        "path": [[round(x, 3), round(y, 3)] for x, y in drive.path.tolist()],
    }
