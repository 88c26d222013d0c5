"""Reads arrays of numbers out of pickles, without handing NumPy the pickle.

NumPy builds whatever types and memory layouts a pickle asks for: objects out of bytes, fields
outside of their array, another byte order for all of this process. Here nothing of NumPy is called
while the pickle is read. Its names stand for descriptions, and an array is made at the end from a
plain type of numbers and as many bytes as it needs.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from avca_pipeline.errors import FormatError

NUMBERS = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"}


def read_npy(path: Path) -> dict[str, np.ndarray]:
    """Returns the dict of vectors that ``numpy.save`` wrote, each of them 1-d.

    Raises:
        FormatError: the file cannot be read, or holds anything else.
    """
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            header = np.lib.format
            read_header = (
                header.read_array_header_1_0 if version == (1, 0) else header.read_array_header_2_0
            )
            shape, _, dtype = read_header(file)
            if shape != () or dtype != np.dtype(object):
                raise FormatError(f"{path}: an array of shape {shape}, not a dict of vectors")
            value = _Descriptions(io.BytesIO(file.read())).load()
        if isinstance(value, PickledArray):
            value = value.only_object()
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise FormatError(f"{path}: holds no dict from class names to vectors")
        return {name: _vector(vector) for name, vector in value.items()}
    except FormatError:
        raise
    except Exception as error:  # A hostile pickle can raise anything.
        raise FormatError(f"{path}: cannot be read as a dict of vectors ({error})") from error


def read_pickle(path: Path, name: str, texts: str) -> tuple[list[np.ndarray], list[str]]:
    """Returns a list of arrays of numbers, and a list of texts, out of a dict that was pickled.

    Args:
        path: of the file.
        name: key of the arrays: a list of them, or one array of arrays.
        texts: key of the texts.

    Raises:
        FormatError: the file cannot be read, or holds anything else below these keys.
    """
    try:
        with open(path, "rb") as file:
            value = _Descriptions(io.BytesIO(file.read())).load()
        if not isinstance(value, dict) or not {name, texts} <= value.keys():
            raise FormatError(f"{path}: holds no dict with {name!r} and {texts!r}")
        arrays, words = _items(value[name]), _items(value[texts])
        if not all(isinstance(word, str) for word in words):
            raise FormatError(f"{path}: {texts!r} holds something else than texts")
        return [
            item.numbers() if isinstance(item, PickledArray) else np.asarray(item, np.float64)
            for item in arrays
        ], words
    except FormatError:
        raise
    except Exception as error:  # A hostile pickle can raise anything.
        raise FormatError(f"{path}: cannot be read as a dict of arrays ({error})") from error


@dataclass
class PickledType:
    """What stands for ``numpy.dtype``: one plain type of numbers, or objects."""

    code: str
    order: str = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, subarray, names, fields, *_ = state  # What follows only objects and records need.
        if order not in ("<", ">", "=", "|") or subarray or names or fields:
            raise ValueError("has a type with fields")
        self.order = order

    def numbers(self) -> np.dtype[Any]:
        """Returns NumPy's type; never one that holds objects."""
        if self.code not in NUMBERS:
            raise ValueError(f"has an array of type {self.code!r}, which is none of numbers")
        return np.dtype(("<" if self.order in "=|" else self.order) + self.code)


class PickledArray:
    """What stands for an array."""

    shape: tuple[int, ...] = ()
    type: PickledType = PickledType("")
    is_fortran: bool = False
    content: Any = b""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.type, self.is_fortran, self.content = state

    def only_object(self) -> Any:
        """Returns the object that an array of one object holds."""
        if self.shape == () and self.type.code == "O8" and isinstance(self.content, list):
            (value,) = self.content
            return value
        raise ValueError("is no array of one object")

    def numbers(self) -> np.ndarray:
        """Returns the array, made of as many bytes as its shape and its type need."""
        if not isinstance(self.type, PickledType):
            raise TypeError("has an array without a type")
        kind = self.type.numbers()
        content, shape = self.content, self.shape
        if not isinstance(content, bytes) or not isinstance(shape, tuple) or len(shape) > 8:
            raise ValueError("has an array without numbers")
        if not all(type(length) is int and 0 <= length <= len(content) for length in shape):
            raise ValueError("has an array whose size is not that of its numbers")
        if math.prod(shape) * kind.itemsize != len(content):
            raise ValueError("has an array whose size is not that of its numbers")
        flat = np.frombuffer(content, kind).astype(kind.newbyteorder("="))
        return flat.reshape(shape, order="F" if self.is_fortran else "C")


def _type(code: Any, *_: Any) -> PickledType:
    if not isinstance(code, str):
        raise TypeError("has a type without a name")
    return PickledType(code)


def _empty_array(*_: Any) -> PickledArray:
    return PickledArray()


def _number(kind: Any, content: Any = b"") -> PickledArray:
    return _from_buffer(content, kind, (), "C")


def _from_buffer(content: Any, kind: Any, shape: Any, order: Any = "C") -> PickledArray:
    array = PickledArray()
    array.__setstate__((1, shape, kind, order == "F", content))
    return array


def _encode(text: Any, encoding: Any = "") -> bytes:
    """Returns bytes that Python 2 wrote as text."""
    if encoding != "latin1" or not isinstance(text, str):
        raise ValueError("refers to another encoding than latin1")
    return text.encode("latin1")


MEANINGS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): PickledArray,
    ("numpy", "dtype"): _type,
    ("_codecs", "encode"): _encode,
}
for _package in ("numpy.core", "numpy._core"):
    MEANINGS |= {
        (f"{_package}.multiarray", "_reconstruct"): _empty_array,
        (f"{_package}.multiarray", "scalar"): _number,
        (f"{_package}.numeric", "_frombuffer"): _from_buffer,
    }
"""What the names in a pickle of arrays stand for, under NumPy's old and new module names."""


class _Descriptions(pickle._Unpickler):
    """Reads the few instructions that dicts of arrays need, and refuses all others.

    It is the reader that is written in Python: the reader in C reserves as much memory as a number
    in the file asks for.
    """

    # What the annotations of the library leave out.
    dispatch: ClassVar[dict[int, Callable[[Any], None]]]
    stack: list[Any]
    read: Callable[[int], bytes]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in MEANINGS:
            raise pickle.UnpicklingError(f"refers to {module}.{name}, which arrays do not need")
        return MEANINGS[module, name]

    def load_build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], PickledType | PickledArray) or not isinstance(
            state, tuple
        ):
            raise pickle.UnpicklingError("changes something else than an array")
        self.stack[-1].__setstate__(state)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def load_setitems(self) -> None:
        self._set(self.pop_mark())

    def _set(self, items: list[Any]) -> None:
        # No other keys: the hash of deeply nested ones overflows the stack.
        if type(self.stack[-1]) is not dict or not all(type(key) is str for key in items[::2]):
            raise pickle.UnpicklingError("has keys that are no names")
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def load_bytearray8(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(min(length, sys.maxsize)))


REFUSED = (
    "PERSID BINPERSID INST OBJ NEWOBJ NEWOBJ_EX EXT1 EXT2 EXT4 DICT EMPTY_SET ADDITEMS FROZENSET "
    "NEXT_BUFFER READONLY_BUFFER"
)
_refused = {getattr(pickle, name)[0] for name in REFUSED.split()}
_Descriptions.dispatch = {
    code: load for code, load in pickle._Unpickler.dispatch.items() if code not in _refused
} | {
    pickle.BUILD[0]: _Descriptions.load_build,
    pickle.SETITEM[0]: _Descriptions.load_setitem,
    pickle.SETITEMS[0]: _Descriptions.load_setitems,
    pickle.BYTEARRAY8[0]: _Descriptions.load_bytearray8,
}


def _items(value: Any) -> list[Any]:
    """Returns what stands in a list, in an array of objects, or along the first axis of numbers."""
    if isinstance(value, PickledArray):
        is_of_objects = isinstance(value.type, PickledType) and value.type.code == "O8"
        value = value.content if is_of_objects else list(value.numbers())
    if not isinstance(value, list):
        raise TypeError("has no list where one is needed")
    return value


def _vector(value: Any) -> np.ndarray:
    """Returns a vector of numbers, which may have been written as a list of them."""
    if isinstance(value, list | tuple) and all(type(item) in (int, float) for item in value):
        array = np.array(value, np.float64)
    elif isinstance(value, PickledArray):
        array = value.numbers()
    else:
        raise TypeError("has a vector that is no array of numbers")
    with np.errstate(over="ignore"):  # The caller reports what becomes infinite.
        return np.asarray(array, np.float32).reshape(-1)
