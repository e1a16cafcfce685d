"""Inputs that are nearly right: a valid one of which a random part was spoiled, as bytes or as a tree. Everything comes from ``rng``."""

from __future__ import annotations

import math

import numpy as np

ODD = (
    *(None, True, False, 0, 1, -1, 2, 255, 256, 65536, 2**31, 2**53, 2**63 - 1, -(2**63), 2**64 - 1, 0.0, -0.0, 0.5, -1.5, 1e9, 1e308),
    *(5e-324, math.nan, math.inf, -math.inf, "", "a", "__frame__", "\0", "é\U0001f697", "x" * 300, "../..", "w-1", b"", b"nd", b"\xff" * 9),
    *([], {}, [[]], [{}]),
    *(np.zeros(0, np.uint8), np.zeros(3, np.float32), np.full((2, 3), np.nan), np.full(3, np.inf, np.float32), np.zeros((1, 5), np.int64)),
    *(np.full(200, 255, np.uint8), np.float32(1.5), np.int64(-1), np.zeros((2, 0, 3), bool)),
)
STARTS = [bytes([n]) for n in b"\0\xff\x80\x90\xc0\xc1\xc4\xc7\xca\xcb\xd9\xdc\xdd\xde\xdf\x7f"]  # of msgpack's kinds


def bent(rng, data, others):
    """The bytes with one to five changes: some overwritten, put in, cut out, repeated, or replaced by a piece of another input."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 5)):
        at, length = rng.randint(0, len(data)), min(rng.randint(1, 8), len(data))
        what = rng.randrange(7)
        if what == 0 and data:
            data[at % len(data)] = rng.randrange(256)
        elif what == 1:
            data[at:at] = rng.choice(STARTS) * rng.choice((1, 1, 2, 4, 200))
        elif what == 2:
            del data[at : at + length]
        elif what == 3:
            data[at:at] = data[at : at + 8 * length]
        elif what == 4:
            other = rng.choice(others)
            start = rng.randint(0, len(other))
            data[at : at + length] = other[start : start + rng.randint(0, 64)]
        elif what == 5:
            data[at : at + length] = bytes(rng.randrange(256) for _ in range(length))
        else:
            del data[at:]
    return bytes(data)


def spoiled(rng, tree):
    """The tree with one to three of its parts replaced, taken out, doubled or exchanged."""
    for _ in range(rng.randint(1, 3)):
        tree = _changed(rng, tree, rng.choice(list(_paths(tree))))
    return tree


def _paths(tree, path=()):
    yield path
    children = tree.items() if isinstance(tree, dict) else enumerate(tree[:50]) if isinstance(tree, list) else ()
    for key, child in children:
        yield from _paths(child, (*path, key))


def _changed(rng, tree, path):
    if not path:
        return _other(rng, tree)
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    if len(path) == 1 and rng.random() < 0.2:
        if isinstance(copy, list):
            part = tree[path[0]]
            few = isinstance(part, (list, dict)) and len(part) > 3  # several rounds of this must not fill the memory
            copy[path[0] : path[0]] = [part] * rng.choice((1, 2) if few else (1, 2, 70))
        else:
            del copy[path[0]]
        return copy
    copy[path[0]] = _changed(rng, tree[path[0]], path[1:])
    return copy


def _other(rng, value):
    what = rng.random()
    if isinstance(value, np.ndarray) and what < 0.7:
        return _other_array(rng, value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and what < 0.5:
        return rng.choice((value + 1, -value, value * 1000, float(value), str(value)))
    if isinstance(value, (str, bytes, list)) and what < 0.3:
        return rng.choice((value + value, value[:1], value[1:]))
    return rng.choice(ODD)


def _other_array(rng, value):
    what = rng.randrange(6)
    if what == 0:
        return value[:-1] if value.ndim else value
    if what == 1:
        return np.concatenate([value, value]) if value.ndim else value
    if what == 2:
        return value.astype(rng.choice(("u1", "i4", "i8", "f4", "f8", "?")), copy=True) if not _wild(value) else value
    if what == 3:
        return value[None]
    copy = np.array(value)
    if copy.size:
        odd = (0, 1, 100) if copy.dtype.kind in "uib" else (math.nan, math.inf, -1.0, 1e30)
        copy.reshape(-1)[rng.randrange(copy.size)] = rng.choice(odd)
    return copy


def _wild(value):
    """Whether casting it would warn."""
    return value.dtype.kind == "f" and (not np.isfinite(value).all() or bool((abs(value) > 100).any()))
