"""Trees of plain values and numpy arrays <-> a msgpack body and raw array frames.

``encode`` gives ``[body, array frame, ...]``; ``decode`` gives the tree back. Arrays of more than INLINE_BYTES travel as frames
of their own, uncopied; smaller ones inline, in msgpack-numpy's map format. msgpack-numpy's decoder unpickles object arrays and
crashes on structured dtypes, so it is only ever called on a map whose dtype stands in the allow-list below. No pickle, either way.
Decoded arrays are read-only views of what was received.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Sequence, Tuple

import msgpack
import msgpack_numpy
import numpy as np

from .errors import CodecError
from .protocol import MAX_FRAMES

BODY_BYTES = 4 * 1024 * 1024  # of the packed body, without its array frames
MAX_VALUES = 2**19  # of one body, everything counted; some 100 bytes each at worst, so that no body costs more than it may weigh
MAX_ITEMS = 8192  # of one list or map: msgpack sets the room for a list aside before it has seen its items, a thousand lists deep
INLINE_BYTES = 512
MAX_DIMENSIONS = 6
MAX_LENGTH = 2**24  # of one dimension
VALUES_OF_ARRAY = 2 + 5 + MAX_DIMENSIONS  # what the map that describes one counts, at most
ALLOWED = ("|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8", "|b1")

_CONTAINERS = (dict, list, tuple)
_FRAME_KEY = "__frame__"


def encode(tree: Any) -> List[Any]:
    """Pack a tree of None, bool, int, float, str, bytes, list, tuple, dict and numpy values. Raises CodecError."""
    arrays: List[np.ndarray[Any, Any]] = []
    values = [0]

    def leaf(value: Any) -> Any:
        if isinstance(value, (np.ndarray, np.generic)):
            values[0] += VALUES_OF_ARRAY
            return _pack_array(value, arrays)
        if isinstance(value, int):
            raise TypeError("a whole number beyond 64 bits cannot travel")
        raise TypeError(f"{type(value).__name__} cannot travel; use plain values and numeric numpy arrays")

    try:
        body = msgpack.packb(_checked(tree, values), default=leaf)
    except CodecError:
        raise
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CodecError(f"cannot encode: {error}") from None
    if len(body) > BODY_BYTES or values[0] > MAX_VALUES:
        told = f"a body of {len(body)} bytes and {values[0]} values without its large arrays"
        raise CodecError(f"{told}; the most are {BODY_BYTES} and {MAX_VALUES}: use arrays, or a shorter rollout")
    if len(arrays) + 2 > MAX_FRAMES:
        raise CodecError(f"{len(arrays)} large arrays; a message has room for {MAX_FRAMES - 2}")
    return [body, *(array.data.cast("B") for array in arrays)]


def decode(frames: Sequence[Any], most: int = MAX_VALUES) -> Any:
    """The tree in ``[body, array frame, ...]`` (bytes or zmq.Frame), of at most so many values. Raises CodecError on anything else."""
    if not frames:
        raise CodecError("a body was expected; the message has none")
    buffers = [_buffer(frame) for frame in frames]
    if buffers[0].nbytes > BODY_BYTES:
        raise CodecError(f"a body of {buffers[0].nbytes} bytes without its large arrays; the most is {BODY_BYTES}")
    used: List[int] = []
    values = 0

    def count(value: Any) -> Any:
        nonlocal values
        values += 1 + len(value)
        if values > most:
            raise CodecError(f"a body of more than {most} values")
        return value

    def hook(value: Dict[Any, Any]) -> Any:
        nonlocal values
        values += 1 + len(value)
        if values > most:
            count(value)
        if _FRAME_KEY in value:
            return _from_frame(value, buffers, used)
        if b"nd" in value:
            return _from_inline(value)
        return value

    tree = _unpack(buffers[0], most, hook, count)
    if sorted(used) != list(range(1, len(buffers))):
        raise CodecError(f"{len(buffers) - 1} array frames came, the body names {sorted(used)}")
    return tree


def _unpack(body: memoryview, most: int, hook: Callable[[Dict[Any, Any]], Any], count: Callable[[Any], Any]) -> Any:
    """What msgpack makes of a body, ``hook`` of each map in it and ``count`` of each list. Raises CodecError."""
    try:
        return msgpack.unpackb(
            body,
            object_hook=hook,
            list_hook=count,
            max_ext_len=0,
            max_array_len=max(1, min(MAX_ITEMS, most, body.nbytes)),
            max_map_len=MAX_ITEMS,
            max_str_len=BODY_BYTES,
            max_bin_len=max(1, len(body)),
        )
    except CodecError:
        raise
    except (ValueError, TypeError, KeyError, msgpack.exceptions.UnpackException, RecursionError) as error:
        raise CodecError(f"not a body of ours: {type(error).__name__}: {error}") from None


def _checked(tree: Any, values: List[int]) -> Any:
    """Refuse what would not be read back: a mapping that looks like an array, or has keys that do not travel, and too much of anything."""
    if not isinstance(tree, _CONTAINERS):
        return tree
    values[0] += 1 + len(tree)
    if len(tree) > MAX_ITEMS:
        raise CodecError(f"a list or map of {len(tree)} items; the most is {MAX_ITEMS}: use arrays")
    if isinstance(tree, dict):
        if _FRAME_KEY in tree or b"nd" in tree:
            raise CodecError(f"the keys {_FRAME_KEY!r} and b'nd' are the codec's own")
        for key in tree:
            if not isinstance(key, (str, bytes)):
                raise CodecError(f"the key {key!r:.40} of a map cannot travel; keys are texts or bytes")
    for value in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(value, _CONTAINERS):
            _checked(value, values)
    return tree


def _pack_array(value: Any, arrays: List[np.ndarray[Any, Any]]) -> Any:
    array = np.asarray(value)
    if array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and not np.little_endian):
        array = array.astype(array.dtype.newbyteorder("<"))
    if array.dtype.str not in ALLOWED:
        raise CodecError(f"arrays of dtype {array.dtype} do not travel; allowed are {', '.join(ALLOWED)}")
    _check_shape(array.shape)
    if isinstance(value, np.generic) or array.nbytes <= INLINE_BYTES:
        return msgpack_numpy.encode(array if array.ndim else array[()])
    arrays.append(np.ascontiguousarray(array))
    return {_FRAME_KEY: len(arrays), "dtype": array.dtype.str, "shape": list(array.shape)}


def _from_frame(value: Dict[Any, Any], buffers: Sequence[memoryview], used: List[int]) -> np.ndarray[Any, Any]:
    index = value[_FRAME_KEY]
    if type(index) is not int or not 1 <= index < len(buffers) or index in used or len(value) != 3:
        raise CodecError("an array descriptor that names no frame of its message, or one twice")
    dtype, shape = _dtype(value.get("dtype")), _shape(value.get("shape"))
    array = _array(buffers[index], dtype, shape)
    used.append(index)
    return array


def _from_inline(value: Dict[Any, Any]) -> Any:
    if value.get(b"kind", b"") != b"":
        raise CodecError("structured, object and pickled arrays are refused")
    dtype, data = _dtype(value.get(b"type")), value.get(b"data")
    if not isinstance(data, bytes):
        raise CodecError("an inline array without data")
    if value[b"nd"] is True:
        shape = _shape(value.get(b"shape"))
        _array(memoryview(data), dtype, shape)
        return msgpack_numpy.decode(value)
    if value[b"nd"] is False and len(data) == dtype.itemsize:
        return msgpack_numpy.decode(value)
    raise CodecError("an inline array or scalar that contradicts itself")


def _dtype(name: Any) -> np.dtype[Any]:
    if not isinstance(name, str) or name not in ALLOWED:
        raise CodecError(f"arrays of dtype {str(name)[:40]!r} are refused; allowed are {', '.join(ALLOWED)}")
    return np.dtype(name)


def _shape(shape: Any) -> Tuple[int, ...]:
    if not isinstance(shape, (list, tuple)) or not all(type(n) is int and n >= 0 for n in shape):
        raise CodecError("an array shape must be a list of whole numbers")
    _check_shape(shape)
    return tuple(shape)


def _check_shape(shape: Sequence[int]) -> None:
    if len(shape) > MAX_DIMENSIONS or any(n > MAX_LENGTH for n in shape):
        raise CodecError(f"an array has at most {MAX_DIMENSIONS} dimensions of at most {MAX_LENGTH}")


def _array(buffer: memoryview, dtype: np.dtype[Any], shape: Tuple[int, ...]) -> np.ndarray[Any, Any]:
    count = 1
    for n in shape:
        count *= n
    if count * dtype.itemsize != buffer.nbytes:
        raise CodecError(f"an array of {shape} {dtype} has {count * dtype.itemsize} bytes, {buffer.nbytes} came")
    array = np.frombuffer(buffer, dtype=dtype, count=count).reshape(shape)
    array.flags.writeable = False
    return array


def _buffer(frame: Any) -> memoryview:
    return memoryview(getattr(frame, "buffer", frame))
