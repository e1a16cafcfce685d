"""Coverage-guided fuzzing of every decoder (tests/fuzztargets.py) with atheris: ``make fuzz``, or by hand

    python benchmarks/fuzz.py [--runs 1000000] [--only NAME ...] [--kept FOLDER]
    python benchmarks/fuzz.py --input FILE --only NAME        (what an input that was found does)

The runs are shared out among the targets by what one of them costs. Each target has a process of its own, which starts from the valid
inputs and what earlier runs kept. It fails where a target raised what it must not, crashed, took longer than 20 s over one input, or
where its memory doubled.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

SHARES = {
    "embedded": 1,
    "host": 1,
    "broker": 2,
    "snapshot-file": 3,
    "rig-file": 3,
    "carla-snapshot": 3,
    "lock-file": 5,
    "key-file": 5,
}  # of 12 for others
MOST_BYTES = 16384  # of one input
SETTLED = 500  # inputs after which a process has what it needs; what it has more later is growth


def fuzz_one(name, folder, runs):
    """In a process of its own: feed one target for so many runs; ends by itself."""
    import atheris  # noqa: PLC0415 - it is wanted here alone

    with atheris.instrument_imports(include=["b2d_zmq", "broker", "worker", "fuzztargets"]):
        import fuzztargets  # noqa: PLC0415 - under instruments
    logging.disable(logging.CRITICAL)
    target = fuzztargets.TARGETS[name]()
    for number, seed in enumerate(target.seeds):
        (folder / f"seed-{number}").write_bytes(seed)
        target.read(seed)
    fed = itertools.count(1)

    def feed(data):
        if next(fed) == SETTLED:
            print(f"resident {resident()}", flush=True)
        target.read(data)

    def mutate(data, most, seed):
        if seed % 3:
            return atheris.Mutate(data, most)
        return target.input(random.Random(seed))[:most]

    options = [f"-runs={runs}", f"-max_len={MOST_BYTES}", "-timeout=20", "-print_final_stats=1", "-rss_limit_mb=2048", "-verbosity=0"]
    options += ["-len_control=0", f"-artifact_prefix={folder.parent}/found-{name}-"]
    atheris.Setup(["fuzz", *options, str(folder)], feed, custom_mutator=mutate)
    atheris.Fuzz()


def resident():
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def one_target(name, runs, kept):
    """A line about one target, and whether it held."""
    folder = kept / name
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, "--child", name, "--kept", str(folder), "--runs", str(runs)]
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    told = done.stdout + done.stderr
    before, executed, peak = (_told(words, told) for words in ("resident", "stat::number_of_executed_units:", "stat::peak_rss_mb:"))
    memory = peak * 1024**2
    fault = ""
    if done.returncode:
        fault = "\n".join(line for line in told.splitlines() if not line.startswith(("INFO", "stat::")))[-3000:]
    elif executed < runs:
        fault = f"it ended after {executed} of {runs} runs"
    elif before and memory > 2 * before:
        fault = f"its memory grew from {before / 1e6:.0f} to {memory / 1e6:.0f} MB"
    seconds, memories = time.monotonic() - start, f"{before / 1e6:5.0f} -> {memory / 1e6:5.0f} MB"
    print(f"{name:16s} {executed:8d} inputs in {seconds:6.1f} s, memory {memories} at most", flush=True)
    if fault:
        print(f"{fault}\ninputs that were found lie in {kept}", flush=True)
    return executed, not fault


def _told(words, text):
    """The number behind these words, 0 where there is none."""
    found = re.search(rf"^{words}\s*(\d+)", text, re.M)
    return int(found.group(1)) if found else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs, all targets together")
    parser.add_argument("--only", nargs="*", help="names of targets")
    parser.add_argument("--kept", type=Path, default=Path("fuzz-out"), help="where inputs that cover something new are kept")
    parser.add_argument("--input", type=Path, help="feed this file instead")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    if options.child:
        fuzz_one(options.child, options.kept, options.runs)
        return 0
    import fuzztargets  # noqa: PLC0415 - its folder is known now

    names = options.only or list(fuzztargets.TARGETS)
    if options.input:
        for name in names:
            print(f"{name}: {'taken' if fuzztargets.TARGETS[name]().read(options.input.read_bytes()) else 'refused'}")
        return 0
    whole = sum(SHARES.get(name, 12) for name in names)
    done = [one_target(name, -(-options.runs * SHARES.get(name, 12) // whole), options.kept) for name in names]
    print(f"{sum(executed for executed, _ in done)} inputs, {sum(not held for _, held in done)} of {len(names)} targets failed")
    return 0 if all(held for _, held in done) else 1


if __name__ == "__main__":
    raise SystemExit(main())
