"""Folders and archives of a few files, in every format that is read."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path


def write_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path.with_suffix(".zip")


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path.with_suffix(".tar"), "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path.with_suffix(".tar")


def write_rar(
    path: Path, files: dict[str, bytes], *, is_solid: bool = False, method: int = 0x30
) -> Path:
    """Writes a RAR 3 archive; by default its files are stored, for which no program is needed."""

    def block(kind: int, flags: int, body: bytes, data: bytes = b"") -> bytes:
        head = struct.pack("<BHH", kind, flags, 7 + len(body)) + body
        return struct.pack("<H", zlib.crc32(head) & 0xFFFF) + head + data

    parts = [b"Rar!\x1a\x07\x00", block(0x73, 8 if is_solid else 0, bytes(6))]
    for name, content in files.items():
        raw, crc = name.replace("/", "\\").encode(), zlib.crc32(content)
        fields = struct.pack(
            "<IIBIIBBHI", len(content), len(content), 2, crc, 0x21 << 16, 20, method, len(raw), 32
        )
        parts.append(block(0x74, 0x8000, fields + raw, content))
    path = path.with_suffix(".rar")
    path.write_bytes(b"".join([*parts, block(0x7B, 0x4000, b"")]))
    return path


WRITERS = [write_folder, write_zip, write_tar, write_rar]
