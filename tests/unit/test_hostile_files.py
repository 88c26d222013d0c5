"""Files of strangers: nothing in them runs, reads another file, or takes what it announces."""

from __future__ import annotations

import os
import pickle
import signal
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy._core.multiarray import _reconstruct, scalar
from numpy._core.numeric import _frombuffer

from avca_pipeline.artifacts import checkpoint, features, hdf5, in_child, labels
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.fetching import network_weights
from avca_pipeline.published import layout
from avca_pipeline.text_embeddings import precomputed

MIB = 1 << 20


class Made:
    """Pickles as the call of a function with arguments, and a state that is given to its result."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> tuple:
        return self.parts


def dtype(code: Any, *state: Any, copy: bool = True) -> Made:
    return Made(np.dtype, (code, False, copy), *([state] if state else []))


def array(kind: Any, shape: Any, content: Any) -> Made:
    return Made(_reconstruct, (np.ndarray, (0,), b"b"), (1, shape, kind, False, content))


def record(field: str, offset: int) -> Made:
    fields = {"a": (np.dtype(field), offset)}
    return dtype("V8", 3, "|", None, ("a",), fields, 8, 1, 0)


NATIVE = ("<", None, None, None, -1, -1, 0)
DOUBLE = dtype("f8", 3, *NATIVE)
OBJECT = dtype("O8", 3, "|", None, None, None, -1, -1, 0)
SUBARRAY = dtype("f8", 3, "<", (np.dtype("O"), (1,)), None, None, 8, 1, 0)
ARRAYS = {
    "object without flags": array(OBJECT, (4,), b"A" * 32),
    "objects": array(np.dtype("O"), (1,), [b"x"]),
    "record with an object": array(record("O", 0), (1,), b"A" * 8),
    "record of numbers": array(record("f8", 0), (1,), b"A" * 8),
    "field outside": array(record("f8", 1 << 20), (4,), b"A" * 32),
    "list of fields": array(np.dtype([("a", "O")]), (1,), b"A" * 8),
    "scalar with an object": Made(scalar, (record("O", 0), b"A" * 8)),
    "object scalar": Made(scalar, (np.dtype("O"), b"A" * 8)),
    "buffer of objects": Made(_frombuffer, (b"A" * 32, np.dtype("O"), (4,), "C")),
    "subarray": array(SUBARRAY, (1,), b"A" * 8),
    "times": array(np.dtype("M8[s]"), (1,), b"A" * 8),
    "texts": array(np.dtype("U2"), (1,), b"A" * 8),
    "more than there is": array(DOUBLE, (1 << 40,), b"A" * 32),
    "less than there is": array(DOUBLE, (1,), b"A" * 32),
    "negative shape": array(DOUBLE, (-1, -4), b"A" * 32),
    "no shape": array(DOUBLE, "ab", b"A" * 16),
    "many dimensions": array(DOUBLE, (1,) * 64, b"A" * 8),
    "no type": array(None, (4,), b"A" * 32),
    "no content": array(DOUBLE, (4,), None),
}  # fmt: skip


def npy(path: Path, content: bytes) -> Path:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content)
    return path


def refused(path: Path, message: str = "") -> None:
    with pytest.raises(PipelineError, match=message or None) as caught:
        precomputed.vectors(precomputed.Settings(path=path), ["k"])
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("name", ARRAYS)
def test_npy_admits_nothing_but_numbers(tmp_path: Path, name: str, protocol: int) -> None:
    content = pickle.dumps({"k": ARRAYS[name]}, protocol)
    refused(npy(tmp_path / "v.npy", content), "cannot be read as a dict of vectors")
    whole = pickle.dumps(array(np.dtype("O"), (), [{"k": ARRAYS[name]}]), protocol)
    refused(npy(tmp_path / "v.npy", whole), "cannot be read as a dict of vectors")


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_npy_of_every_plain_type_is_read(tmp_path: Path, protocol: int) -> None:
    codes = ("f2", "<f4", ">f4", "f8", "i1", "u1", ">i2", "u4", "i8", "?")
    table = {code: np.array([[0, 1, 0], [1, 1, 0]]).astype(code) for code in codes}
    table |= {"turned": np.asfortranarray([[1.0, 2], [3, 4]]), "one": np.float32(5.0)}
    table |= {"some": table["f8"][:, ::2], "list": [1, 2.5]}
    content = pickle.dumps(np.array(table, dtype=object), protocol)
    path = npy(tmp_path / "v.npy", content)
    for name, value in table.items():
        found = precomputed.vectors(precomputed.Settings(path=path), [name])[0]
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, np.asarray(value, np.float32).reshape(-1))


def nested(depth: int) -> bytes:
    return b"\x80\x04}N" + b"\x85" * depth + b"Ns."


INSTRUCTIONS = {
    "a place in the memory of the reader": b"\x80\x04}r\xff\xff\xff\x7f.",
    "bytes that are announced": b"\x80\x04}\x8e" + struct.pack("<Q", 1 << 40) + b"x.",
    "text that is announced": b"\x80\x04}\x8d" + struct.pack("<Q", 1 << 40) + b"x.",
    "an array of bytes that is announced": b"\x80\x05}\x96" + struct.pack("<Q", 1 << 40) + b"x.",
    "a frame that is announced": b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"}.",
    "a key that is nested deeply": nested(200_000),
    "a value that is nested deeply": b"\x80\x04}\x8c\x01kN" + b"\x85" * 200_000 + b"s.",
    "a set": b"\x80\x04\x8f(N\x90.",
    "a change of a function": b"\x80\x04cnumpy\ndtype\n}\x8c\x01xNsb.",
    "a change of a class": b"\x80\x04cnumpy\nndarray\nN}\x8c\x07numbersNs\x86b.",
    "a class of its own": b"cos\nsystem\n(S'true'\ntR.",
    "a function within": b"\x80\x04\x8c\x05numpy\x8c\x09ndarray.f\x93.",
    "something that is kept elsewhere": b"\x80\x04}Pabc\n.",
    "nothing": b"",
    "an end before a beginning": b".",
}


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_npy_follows_the_instructions_of_arrays_alone(tmp_path: Path, name: str) -> None:
    path = npy(tmp_path / "v.npy", INSTRUCTIONS[name])
    tracemalloc.start()
    refused(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * MIB + 200 * path.stat().st_size


def test_npy_leaves_this_process_as_it_is(tmp_path: Path) -> None:
    """A type that is not copied is NumPy's own, and a change of it would change all numbers."""
    own = dtype("f8", 3, ">", None, None, None, -1, -1, 0, copy=False)
    path = npy(tmp_path / "v.npy", pickle.dumps({"k": array(own, (1,), b"\0" * 8)}, 2))
    precomputed.vectors(precomputed.Settings(path=path), ["k"])
    torch.save({"k": array(own, (1,), b"\0" * 8)}, tmp_path / "w.pt", pickle_protocol=2)
    network_weights.read_state_dict(tmp_path / "w.pt")
    assert np.dtype("f8").isnative
    assert np.array([1.0]).tobytes() == struct.pack("=d", 1.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_vectors_are_finite_and_not_empty(tmp_path: Path, value: float) -> None:
    path = tmp_path / "v.npy"
    for vector in (np.array([0.0, value]), np.zeros(0)):
        np.save(path, np.array({"k": vector}, dtype=object), allow_pickle=True)
        refused(path, "the vector of 'k' is empty or not finite")


@pytest.mark.parametrize("name", ARRAYS)
def test_weights_admit_no_other_arrays_than_of_numbers(tmp_path: Path, name: str) -> None:
    for is_zip in (True, False):
        torch.save({"w": torch.ones(2), "k": ARRAYS[name]}, tmp_path / "w.pt", pickle_protocol=2,
                   _use_new_zipfile_serialization=is_zip)  # fmt: skip
        with pytest.raises(PipelineError, match=r"^weights .*w\.pt: ") as caught:
            network_weights.read_state_dict(tmp_path / "w.pt")
        assert "\n" not in str(caught.value)


def test_weights_that_grow_are_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(1 << 20)}, tmp_path / "w.pt")
    with (
        zipfile.ZipFile(tmp_path / "w.pt") as source,
        zipfile.ZipFile(tmp_path / "small.pt", "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for member in source.infolist():
            small.writestr(member.filename, source.read(member))
    with pytest.raises(PipelineError, match=r"weights .*small\.pt: "):
        network_weights.read_state_dict(tmp_path / "small.pt")
    with pytest.raises(FormatError, match=r"small\.pt: "):
        checkpoint.read(tmp_path / "small.pt")


Change = Callable[[h5py.File, str, Path], None]


def linked(link: Any) -> Change:
    def change(file: h5py.File, name: str, folder: Path) -> None:
        file[name] = link

    return change


def made(**options: Any) -> Change:
    def change(file: h5py.File, name: str, folder: Path) -> None:
        file.create_dataset(name, **options)

    return change


def outside(file: h5py.File, name: str, folder: Path) -> None:
    (folder / "secret").write_bytes(b"\0" * 64)
    file.create_dataset(name, (1, 8), "f8", external=[(folder / "secret", 0, 64)])


def virtual(file: h5py.File, name: str, folder: Path) -> None:
    parts = h5py.VirtualLayout((1, 8), "f8")
    parts[:] = h5py.VirtualSource(str(folder / "other.h5"), name, (1, 8))
    file.create_virtual_dataset(name, parts)


def zeros(file: h5py.File, name: str, folder: Path) -> None:
    """Compressed to a thousandth."""
    shape = (1, 1 << 23)
    file.create_dataset(name, data=np.zeros(shape), chunks=shape, compression="gzip")


STRUCTURES: dict[str, Change] = {
    "link into another file": linked(h5py.ExternalLink("other.h5", "/hidden")),
    "link through the file system": linked(h5py.ExternalLink("/proc/self/environ", "/")),
    "soft link": linked(h5py.SoftLink("/hidden")),
    "link to nowhere": linked(h5py.SoftLink("/nowhere")),
    "stored in another file": outside,
    "made up of other files": virtual,
    "terabytes that are not there": made(shape=(1 << 20, 1 << 20), dtype="f8"),
    "terabytes in pieces": made(shape=(1 << 40, 8), dtype="f8", chunks=(1, 8)),
    "a value for all that is not there": made(
        shape=(1, 1 << 29), dtype="f8", chunks=(1, 1 << 10), fillvalue=1.0
    ),
    "zeros": zeros,
    "texts": made(data=["a"], dtype=h5py.string_dtype()),
    "references": made(shape=(1,), dtype=h5py.ref_dtype),
    "records": made(data=np.zeros(1, [("a", "f8")])),
    "lists": made(shape=(1,), dtype=h5py.vlen_dtype(np.float64)),
    "nothing": made(data=h5py.Empty("f8")),
    "a group": lambda file, name, folder: file.create_group(name),
    "nothing at all": lambda file, name, folder: None,
    "another number": made(data=np.zeros((2, 8))),
    "not finite": made(data=np.full((1, 8), np.nan)),
}


@pytest.mark.parametrize("case", STRUCTURES)
def test_hdf5_is_read_from_the_file_itself(tmp_path: Path, case: str) -> None:
    """Vectors of a user, imported features, and our own files, which anyone may have written."""
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["hidden"] = np.ones((1, 8))
    folder = tmp_path / "features/video/stage_1_train"
    folder.mkdir(parents=True)
    for path, name, texts in (
        (tmp_path / "v.h5", "vectors", "class_name"),
        (folder / "a.h5", "data", "video_urls"),
        (tmp_path / "labels.h5", "vectors", "class_name"),
        (tmp_path / "features.h5", "features", "clip_id"),
    ):
        with h5py.File(path, "w") as file:
            file.attrs["kind"], file.attrs["format_version"] = path.stem, 1
            file[texts], file["hidden"] = ["k"], np.ones((1, 8))
            file["num_windows"], file["is_padded"] = np.ones(1, np.int64), np.zeros(1, bool)
            for member in ("clip_id", "reason"):
                file.create_dataset(f"rejected/{member}", (0,), h5py.string_dtype())
            STRUCTURES[case](file, name, tmp_path)
    refused(tmp_path / "v.h5")
    with pytest.raises(FormatError, match=r"a\.h5: "):
        list(layout.read(tmp_path / "features", "video"))
    with pytest.raises(FormatError, match=r"labels\.h5: "):
        labels.read(tmp_path / "labels.h5")
    with pytest.raises(FormatError, match=r"features\.h5: "):
        features.read(tmp_path / "features.h5")


def test_hdf5_whose_reader_never_ends_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heap that texts are kept in has an object of size 0: the library takes no step on."""
    monkeypatch.setattr(in_child, "CPU_S", 1)
    path = tmp_path / "v.h5"
    with h5py.File(path, "w") as file:
        file["class_name"], file["vectors"] = ["k"], np.ones((1, 8))
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 16 : heap + 16 + 16] = bytes(16)
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize("has_mark", [True, False])
def test_a_table_of_ours_whose_reader_never_ends_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_mark: bool
) -> None:
    """A bit of its mark is flipped, or it was written without one, and its heap of texts too."""
    monkeypatch.setattr(in_child, "CPU_S", 1)
    path = tmp_path / "l.h5"
    labels.write(path, labels.Labels(["a"], np.ones((1, 2), np.float32), "made up"))
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 16 : heap + 16 + 16] = bytes(16)
    content[3] ^= 1
    path.write_bytes(content if has_mark else content[hdf5.USER_BLOCK_BYTES :])
    with pytest.raises(FormatError, match=r"l\.h5: "):
        labels.read(path)


def test_a_table_of_the_first_release_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "l.h5", "w") as file:
        file.attrs["kind"], file.attrs["format_version"] = "labels", 1
        file["class_name"], file["vectors"] = ["a"], np.ones((1, 2), np.float32)
    assert list(labels.read(tmp_path / "l.h5").class_names) == ["a"]


def test_a_reader_that_dies_or_does_not_end_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_child, "CPU_S", 1)
    path = tmp_path / "x"
    path.touch()

    def endless(path: Path) -> None:
        while True:
            pass

    def crashing(path: Path) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def greedy(path: Path) -> None:
        np.ones(1 << 31)

    def wrong(path: Path) -> None:
        raise RuntimeError("a\nb")

    for reader, message in (
        (endless, r"x: damaged: takes too long"),
        (crashing, r"x: damaged: crashes its reader"),
        (greedy, r"x: cannot be read \(.*llocate"),
        (wrong, r"x: cannot be read \(a\\nb\)"),
    ):
        with pytest.raises(FormatError, match=message):
            in_child.read(path, reader)
    assert in_child.read(path, lambda path: path.name) == "x"
    with pytest.raises(FormatError, match="No such file"):
        in_child.read(tmp_path / "no", crashing)


def test_nothing_is_left_of_a_reader(tmp_path: Path) -> None:
    """No process, no open pipe, no line that was waiting to be written."""
    code = """
import os, sys
from pathlib import Path
from avca_pipeline.artifacts import in_child
sys.stdout.write("once")
before = sorted(os.listdir("/proc/self/fd"))
for _ in range(20):
    assert in_child.read(Path(sys.executable), lambda path: 7) == 7
assert sorted(os.listdir("/proc/self/fd")) == before
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    sys.stdout.write(" and whole")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("once and whole", 0), done.stderr
