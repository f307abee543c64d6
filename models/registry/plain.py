"""Plain values in a joblib file: written the usual way, read without the power to run anything.

A pickle is a program: it may name any function of any installed module and call it. A model needs none of
that. It is dicts, lists, tuples, texts, numbers, booleans, None and arrays of float64, int64, bool or text.
So the file is an ordinary joblib file, which a data scientist opens with `joblib.load`, but here it is read
by an unpickler with two allow-lists:

1. *instructions*: only those that build plain values. There is none left that calls something.
2. *names*: the three that joblib writes for an array (its wrapper, `numpy.ndarray`, `numpy.dtype`). They
   stand for inert tokens, never for the objects themselves; the array is then rebuilt from its bytes here,
   by the dtype's name. Arrays of objects, which would hold a second pickle, have no such name.

Compressed files are not read at all, and what comes out is looked through once more before it is returned.
"""

import io
import math
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt

from models.errors import ArtefactError, UnsafeArtefact

#: One value of a plain structure; nested values are of the same kinds.
Plain = dict[str, Any] | list[Any] | tuple[Any, ...] | str | int | float | bool | None | npt.NDArray[Any]

_SCALARS = (str, int, float, bool, type(None))
_PICKLE_PROTOCOL = 4
_DEEPEST = 32
_LONGEST_AXIS = 2**31
_LAST_CODE_POINT = 0x10FFFF
_NUMBERS = {"f8": np.dtype(np.float64), "i8": np.dtype(np.int64), "b1": np.dtype(np.bool_)}


def dumps(plain: dict[str, Any]) -> bytes:
    """The joblib file of a plain structure; equal structures give equal bytes.

    Raises `ArtefactError` naming the place of a value that is not plain.
    """
    buffer = io.BytesIO()
    joblib.dump(_canonical(plain, "model"), buffer, protocol=_PICKLE_PROTOCOL)
    return buffer.getvalue()


def loads(content: bytes) -> dict[str, Any]:
    """The plain structure of a joblib file; its arrays are read-only.

    Raises `UnsafeArtefact` for a file that holds, or asks for, anything else. Nothing it names is imported
    or called.
    """
    if content[:2] != bytes((pickle.PROTO[0], _PICKLE_PROTOCOL)):
        raise UnsafeArtefact("The model file is not an uncompressed joblib file of plain values.")
    stream = io.BytesIO(content)
    try:
        found = _PlainUnpickler(stream).load()
    except UnsafeArtefact:
        raise
    except Exception as error:  # whatever hostile bytes make the parser stumble over
        raise UnsafeArtefact(f"The model file is damaged or not plain: {error!r}.") from error
    if stream.read(1):
        raise UnsafeArtefact("The model file goes on after its end.")
    _check_plain(found)
    return found  # type: ignore[no-any-return]


def _canonical(value: Any, place: str, depth: int = 0) -> Any:
    """A copy whose pickle depends on the values alone.

    A pickle refers back to an object it has met. Fresh containers and interned texts make those references
    a matter of equality, not of which objects happened to be shared in memory.
    """
    if depth > _DEEPEST:
        raise ArtefactError(f"{place} is nested deeper than {_DEEPEST} levels.")
    kind = type(value)
    if kind is str:
        return sys.intern(value)
    if kind in _SCALARS:
        return value
    if kind in (list, tuple):
        return kind(_canonical(item, f"{place}[{i}]", depth + 1) for i, item in enumerate(value))
    if kind is dict:
        for key in value:
            if type(key) is not str:
                raise ArtefactError(f"{place} has the key {key!r}; the keys of a model are texts.")
        return {sys.intern(key): _canonical(item, f"{place}.{key}", depth + 1) for key, item in value.items()}
    if kind is np.ndarray and value.dtype.str[1:] in _NUMBERS:
        return _copied(value, _NUMBERS[value.dtype.str[1:]])
    if kind is np.ndarray and value.dtype.kind == "U":
        return _copied(value, f"U{max(value.dtype.itemsize // 4, 1)}")
    raise ArtefactError(f"{place} is of type {kind.__name__}; a model holds plain values and arrays of them only.")


def _copied(array: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """A copy in C order whose dtype is the shared object of numbers, or one of its own for text."""
    copy = np.empty(array.shape, dtype=dtype)
    copy[...] = array
    return copy


@dataclass(frozen=True)
class _Name:
    """Stands for something the file names; it cannot do anything."""

    text: str


_WRAPPER = _Name("joblib.numpy_pickle.NumpyArrayWrapper")
_NDARRAY = _Name("numpy.ndarray")
_DTYPE = _Name("numpy.dtype")
_NAMES = {name.text: name for name in (_WRAPPER, _NDARRAY, _DTYPE)}


@dataclass
class _Dtype:
    """A dtype being read: its code, then checked against the state that follows."""

    code: str
    itemsize: int = 0


class _Wrapper:
    """An array whose description is about to follow."""


class _Instructions(dict[int, Callable[[Any], None]]):
    def __missing__(self, code: int) -> Callable[[Any], None]:
        raise UnsafeArtefact(
            f"The model file uses the pickle instruction {bytes([code])!r}, which plain values do not."
        )


class _PlainUnpickler(pickle._Unpickler):
    """The interpreter of the standard library, in Python, with the two allow-lists."""

    stack: list[Any]

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self._stream = stream

    def find_class(self, module: str, name: str) -> _Name:
        """The token of an allowed name. Nothing is ever imported."""
        wanted = f"{module}.{name}"
        if wanted not in _NAMES:
            raise UnsafeArtefact(f"The model file asks for {wanted!r}; a model may hold plain values only.")
        return _NAMES[wanted]

    def new_wrapper(self) -> None:
        """`wrapper()`: the only object made without arguments."""
        arguments, name = self.stack.pop(), self.stack.pop()
        if name is not _WRAPPER or arguments != ():
            raise UnsafeArtefact("The model file makes an object that is not an array.")
        self.stack.append(_Wrapper())

    def new_dtype(self) -> None:
        """`dtype(code, False, True)`: the only thing that looks like a call, and is none."""
        arguments, name = self.stack.pop(), self.stack.pop()
        if name is not _DTYPE or type(arguments) is not tuple or arguments[1:] != (False, True):
            raise UnsafeArtefact("The model file calls something.")
        self.stack.append(_Dtype(arguments[0]))

    def describe(self) -> None:
        """What completes a dtype or, followed by the bytes, an array."""
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is _Dtype:
            target.itemsize = _itemsize(target.code, state)
        elif type(target) is _Wrapper:
            self.stack[-1] = _read_array(self._stream, state)
        else:
            raise UnsafeArtefact("The model file gives attributes to a plain value.")

    _KEPT = (
        *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.MEMOIZE, pickle.BINGET, pickle.LONG_BINGET),
        *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT, pickle.BININT1, pickle.BININT2),
        *(pickle.LONG1, pickle.BINFLOAT, pickle.SHORT_BINUNICODE, pickle.BINUNICODE),
        *(pickle.EMPTY_TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.TUPLE),
        *(pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS, pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS),
        pickle.STACK_GLOBAL,
    )
    dispatch = _Instructions({code[0]: pickle._Unpickler.dispatch[code[0]] for code in _KEPT})
    dispatch[pickle.NEWOBJ[0]] = new_wrapper
    dispatch[pickle.REDUCE[0]] = new_dtype
    dispatch[pickle.BUILD[0]] = describe


def _itemsize(code: Any, state: Any) -> int:
    """Bytes per element of an allowed dtype. Raises `UnsafeArtefact` for any other."""
    if code in ("f8", "i8") and state == (3, "<", None, None, None, -1, -1, 0):
        return 8
    if code == "b1" and state == (3, "|", None, None, None, -1, -1, 0):
        return 1
    if type(code) is str and code[:1] == "U" and code[1:].isdecimal() and len(code) <= 6:
        size = 4 * int(code[1:])
        if size and state == (3, "<", None, None, None, size, 4, 8):
            return size
    raise UnsafeArtefact(f"The model file holds an array of type {code!r}; float64, int64, bool and text are allowed.")


def _read_array(stream: io.BytesIO, state: Any) -> npt.NDArray[Any]:
    """The array whose bytes follow in the stream, after a byte that counts the padding."""
    fields = ("subclass", "shape", "order", "dtype", "allow_mmap", "numpy_array_alignment_bytes")
    if type(state) is not dict or tuple(state) != fields:
        raise UnsafeArtefact("The model file describes an array in an unknown way.")
    subclass, shape, order, dtype, _, alignment = state.values()
    if subclass is not _NDARRAY or order != "C" or alignment != 16 or type(dtype) is not _Dtype:
        raise UnsafeArtefact("The model file holds an array of an unknown kind.")
    if type(shape) is not tuple or not all(type(n) is int and 0 <= n < _LONGEST_AXIS for n in shape):
        raise UnsafeArtefact(f"The model file holds an array of the impossible shape {shape!r}.")
    stream.read(stream.read(1)[0])
    wanted = math.prod(shape) * dtype.itemsize
    left = stream.getbuffer().nbytes - stream.tell()
    if dtype.itemsize == 0 or wanted > left:
        raise UnsafeArtefact(f"The model file ends within an array of shape {shape!r}.")
    return _array(stream.read(wanted), dtype.code, shape)


def _array(content: bytes, code: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    limits = {"b": (np.uint8, 1), "U": (np.uint32, _LAST_CODE_POINT)}
    if code[0] in limits:
        unit, largest = limits[code[0]]
        if np.frombuffer(content, dtype=unit).max(initial=0) > largest:
            raise UnsafeArtefact("The model file holds an array with impossible values.")
    found = np.frombuffer(content, dtype=f"<{code}" if code != "b1" else "?").reshape(shape)
    found = found.astype(found.dtype.newbyteorder("="))
    found.setflags(write=False)
    return found


def _check_plain(root: Any) -> None:
    """Every value reached once, of a plain type and not too deep."""
    if type(root) is not dict:
        raise UnsafeArtefact("The model file does not hold a dict.")
    seen: set[int] = set()
    left: list[tuple[Any, int]] = [(root, 0)]
    while left:
        value, depth = left.pop()
        kind = type(value)
        if kind in _SCALARS or kind is np.ndarray or (kind is tuple and not value):
            continue
        if kind not in (dict, list, tuple) or depth > _DEEPEST or id(value) in seen:
            raise UnsafeArtefact(f"The model file holds a value of type {kind.__name__} where plain values belong.")
        seen.add(id(value))
        if kind is dict and not all(type(key) is str for key in value):
            raise UnsafeArtefact("The model file holds a dict whose keys are not texts.")
        left.extend((item, depth + 1) for item in (value.values() if kind is dict else value))
