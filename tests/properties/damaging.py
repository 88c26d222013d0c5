"""Damages small files of every kind that a user can give, and has the commands read them.

Run as ``python -m tests.properties.damaging KIND SEED SECONDS FOLDER``. It ends with 0 if every
damaged file gave a result, a rejected row, or one line. Anything else ends it, with the round and
the damaged file in ``FOLDER``: an exception, a crash, or a round that takes minutes.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import tarfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import h5py
import numpy as np
import torch

from avca_pipeline.artifacts import checkpoint, features, fetched, in_child, labels
from avca_pipeline.cli import main
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching import network_weights
from tests import fasttext_model
from tests.builders import import_request
from tests.process_memory import peak_mib as peak_mib_of

ROUND_S = 200
"""More than a round ever takes, on a busy machine too; in it a hang is told from slowness."""
CLIPS_A_ROUND = 8
LIMITS = {"max_pixels": 1_000_000, "max_duration_s": 30.0}
WORDS = (b'"', b"'", b"{", b"}", b"[", b"]", b",", b";", b":", b"\0", b"\n", b"\r", b"\\", b"&a ",
         b"*a", b"<<: ", b"-", b"nan", b"1e999", b"-1", b"9" * 30, b"0x" + b"f" * 5000, b"\xff\xfe",
         b"\xef\xbb\xbf", b"\xed\xa0\x80", "\u202e\u0301".encode(), b"../", b"~", b"#", b"!!set ",
         b"[" * 3000, b"{a: " * 2000, b"\t", b" ")  # fmt: skip


def damaged(content: bytes, rng: np.random.Generator, is_text: bool = False) -> bytes:
    """Returns a content with one place changed, or a few, or cut off."""
    data = bytearray(content)
    for _ in range(int(rng.geometric(0.6))):
        place = int(rng.integers(len(data) + 1)) if data else 0
        if rng.random() < 0.3:  # where headers are
            place = min(place, int(rng.integers(200)))
        length = int(rng.integers(1, 9))
        kind = int(rng.choice(7, p=[0.4, 0.15, 0.05, 0.05, 0.05, 0.1, 0.2])) if data else 6
        if kind == 0:
            data[min(place, len(data) - 1)] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[place : place + length] = bytes([int(rng.choice([0, 1, 127, 128, 255]))] * length)
        elif kind == 2:
            del data[place:]
        elif kind == 3:
            del data[place : place + length * int(rng.integers(1, 50))]
        elif kind == 4:
            data[place:place] = data[place : place + length * int(rng.integers(1, 50))]
        elif kind == 5:
            data[place : place + 8] = int(rng.integers(1 << 63)).to_bytes(8, "little")
        elif is_text:
            data[place:place] = WORDS[int(rng.integers(len(WORDS)))]
        else:
            data[place : place + length] = rng.bytes(length)
    return bytes(data)


def accepted(*arguments: str | Path) -> bool:
    """Runs a command; returns whether it gave a result. Its one line is checked."""
    lines = io.StringIO()
    with contextlib.redirect_stderr(lines):
        code = main([str(argument) for argument in arguments])
    assert code in (0, 1), code
    if code:
        last = lines.getvalue().rstrip("\n").rpartition("\n")[2]
        assert last.startswith(f"avca {arguments[0]}: error: "), lines.getvalue()
    return code == 0


def read(reader: Callable[[Path], object], path: Path) -> bool:
    """Reads a file; returns whether it was taken for a whole one. Its one line is checked."""
    try:
        reader(path)
    except PipelineError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both are right
        assert str(path) in str(error)  # noqa: PT017
        return False
    return True


def manifest_of(folder: Path, plugin: str, **settings: object) -> bool:
    """Lists the clips of a dataset."""
    part = {"plugin": plugin, "settings": settings, "num_shards": 1}
    return accepted("manifest", "--settings", json.dumps(part, default=str),
                    "--out", folder / "m.csv", "--shards", folder / "shards")  # fmt: skip


def embedded(folder: Path, plugin: str = "precomputed", **settings: object) -> bool:
    """Gives the classes of ``clips.csv`` vectors."""
    part = {"plugin": plugin, "settings": settings}
    return accepted("embed", "--settings", json.dumps(part, default=str),
                    "--clips", folder / "clips.csv", "--out", folder / "l.h5",
                    "--cache", folder)  # fmt: skip


CLIPS = (
    "clip_id,source_id,class_name,path_or_url,start_s,end_s\n"
    'a,s,one,a.mp4,,\n"b, c",t,two,b.mp4,0.5,1\nd,u,three,http://localhost/d.mp4,1,\n'
)
CLASSES = ("one", "two", "three")


def write_csv(path: Path) -> None:
    path.write_text(CLIPS)


def write_yaml(path: Path) -> None:
    shutil.copy(Path(__file__).parents[2] / "config.yaml", path)


def write_json(path: Path) -> None:
    segment = {"label": "one", "segment": [0.5, 2.0]}
    content = {"version": 1.3, "database": {"v1": {"annotations": [segment, segment]}, "v2": {}}}
    path.write_text(json.dumps(content, indent=1))


def write_vggsound(path: Path) -> None:
    path.write_text('ab_-1,30,"playing, piano",train\ncd,0,dog barking,test\n')


def write_names(path: Path) -> None:
    path.write_text("original,manual\none,one\ntwo,two\nthree,three\n")


def write_npy(path: Path) -> None:
    table = {name: np.arange(4, dtype=np.float32) + k for k, name in enumerate(CLASSES)}
    np.save(path, np.array(table, dtype=object), allow_pickle=True)


def write_h5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["class_name"] = list(CLASSES)
        file.create_dataset("vectors", data=np.ones((3, 4)), chunks=(1, 4), compression="gzip")


def write_layout(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data"], file["video_urls"] = np.ones((2, 4), np.float32), ["a", "z.mp4"]


def write_pt(path: Path) -> None:
    state = {"state_dict": {"weight": torch.ones(4, 5), "means": np.arange(4.0)}}
    torch.save(state, path, _use_new_zipfile_serialization=path.name.startswith("new"))


def write_checkpoint(path: Path) -> None:
    checkpoint.write(path, {"state": {"weight": torch.ones(3, 4)}, "epoch": 3})


def write_features(path: Path) -> None:
    one = np.ones(2)
    features.write(path, features.Features(
        ["a", "b"], np.ones((2, 4), np.float32), one.astype(int), one.astype(bool),
        rejected={"c": "why"}
    ))  # fmt: skip


def write_labels(path: Path) -> None:
    labels.write(path, labels.Labels(["a", "b"], np.eye(2, dtype=np.float32), "made up"))


def imported(folder: Path, path: Path) -> bool:
    place = folder / "features/video/stage_1_train"
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, place / "one.h5")
    part = import_request("video", folder / "features").model_dump_json()
    return accepted("import", "--settings", part, "--clips", folder / "clips.csv",
                    "--out", folder / "i.h5")  # fmt: skip


Reader = Callable[[Path, Path], bool]
FILES: dict[str, list[tuple[str, Callable[[Path], None], Reader]]] = {
    "text": [
        ("config.yaml", write_yaml, lambda folder, path: accepted("check", path)),
        ("table.csv", write_csv, lambda folder, path: manifest_of(folder, "table", path=path)),
        ("a.json", write_json,
         lambda folder, path: manifest_of(folder, "activitynet", annotations=path, media=[])),
        ("v.csv", write_vggsound, lambda folder, path: manifest_of(folder, "vggsound", csv=path)),
        ("names.csv", write_names,
         lambda folder, path: embedded(folder, path=folder / "whole.npy", names=path)),
    ],
    "arrays": [
        ("v.npy", write_npy, lambda folder, path: embedded(folder, path=path)),
        ("v.h5", write_h5, lambda folder, path: embedded(folder, path=path)),
        ("one.h5", write_layout, imported),
        ("v.bin", fasttext_model.train,
         lambda folder, path: embedded(folder, "fasttext", path=path)),
        ("new.pt", write_pt, lambda folder, path: read(network_weights.read_state_dict, path)),
        ("old.pt", write_pt, lambda folder, path: read(network_weights.read_state_dict, path)),
        ("c.pt", write_checkpoint, lambda folder, path: read(checkpoint.read, path)),
        ("f.h5", write_features, lambda folder, path: read(features.read, path)),
        ("l.h5", write_labels, lambda folder, path: read(labels.read, path)),
    ],
}  # fmt: skip

CODECS = {
    "mp4": ("mpeg4", "aac"), "mov": ("mjpeg", "pcm_s16le"), "mkv": ("libx264", "libmp3lame"),
    "webm": ("libvpx", "libopus"), "avi": ("mpeg4", "libmp3lame"), "ts": ("mpeg2video", "mp2"),
    "mpg": ("mpeg1video", "mp2"), "flv": ("flv", "libmp3lame"), "ogg": ("", "libopus"),
    "wav": ("", "pcm_s16le"), "mp3": ("", "libmp3lame"), "flac": ("", "flac"),
}  # fmt: skip


def write_media(path: Path) -> None:
    """Writes half a second of pictures and sound."""
    picture, sound = CODECS[path.suffix[1:]]
    with av.open(str(path), "w") as container:
        streams = []
        if picture:
            video = container.add_stream(picture, rate=25)
            video.width, video.height = 64, 48
            video.pix_fmt = "yuvj420p" if picture == "mjpeg" else "yuv420p"
            streams.append(video)
        audio = container.add_stream(sound, rate=48000, layout="mono")
        streams.append(audio)
        for index in range(12 if picture else 0):
            grey = np.full((48, 64, 3), 20 * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(video.encode(frame))
        wave = (8000 * np.sin(np.arange(24_000) / 20)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
        resampler = av.AudioResampler(
            format=audio.codec_context.format.name, layout="mono", rate=48000,
            frame_size=audio.codec_context.frame_size or None,
        )  # fmt: skip
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(audio.encode(part))
        for stream in streams:
            container.mux(stream.encode(None))


def extracted(folder: Path, dataset: dict[str, object]) -> Counter[str]:
    """Fetches and extracts a dataset through the commands; returns what became of its clips."""
    for name in ("raw", "shards"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("m.csv", "fetched.csv", "features.h5"):
        (folder / name).unlink(missing_ok=True)
    asked_for = {**dataset, "shard": "00000-of-00001", "max_bytes": 10**9}
    text = json.dumps(asked_for, default=str)
    shard = folder / "shards/00000-of-00001.csv"
    if not accepted("manifest", "--settings", json.dumps(dataset | {"num_shards": 1}, default=str),
                    "--out", folder / "m.csv", "--shards", folder / "shards"):  # fmt: skip
        return Counter(["one line"])
    if not accepted("fetch", "--settings", text, "--clips", shard, "--raw", folder / "raw",
                    "--out", folder / "fetched.csv"):  # fmt: skip
        return Counter(["one line"])
    found: Counter[str] = Counter()
    for row in fetched.read(folder / "fetched.csv"):
        assert row.status == "ok" or row.reason, row
        found["fetched" if row.status == "ok" else "rejected"] += 1
    for backbone, more in (("timm_frames", {"model": "test_resnet.r160_in1k"}), ("vggish", {})):
        part = {"backbone": backbone, "plugin": backbone, "settings": more, "limits": LIMITS}
        part["shard"] = shard.stem
        if accepted("extract", "--settings", json.dumps(part), "--clips", shard,
                    "--fetched", folder / "fetched.csv", "--out", folder / "features.h5",
                    "--cache", folder / "cache", "--threads", "2", "--device", "cpu"):  # fmt: skip
            value = features.read(folder / "features.h5")
            found["features"] += len(value.clip_ids)
            assert all(value.rejected.values()), value.rejected
        else:
            found["one line"] += 1
    return found


def media_round(folder: Path, rng: np.random.Generator) -> Counter[str]:
    """Damages one clip of most containers."""
    place = folder / "media/one"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for kind in rng.permutation(sorted(CODECS))[:CLIPS_A_ROUND]:
        whole = folder / f"whole.{kind}"
        if not whole.exists():
            write_media(whole)
        (place / f"clip.{kind}").write_bytes(damaged(whole.read_bytes(), rng))
    return extracted(folder, {"plugin": "folder", "settings": {"path": folder / "media"}})


def archive_round(folder: Path, rng: np.random.Generator) -> Counter[str]:
    """Damages an archive of three clips."""
    names = ["ab_000001.mp4", "cd_000002.mp4", "ef_000003.mp4"]
    (folder / "v.csv").write_text("ab,1,one,train\ncd,2,two,train\nef,3,three,test\n")
    if not (folder / "whole.mp4").exists():
        write_media(folder / "whole.mp4")
    content = (folder / "whole.mp4").read_bytes()
    kind = str(rng.choice(["stored.zip", "deflated.zip", "plain.tar", "packed.tar.gz"]))
    path = folder / kind
    if path.suffix == ".zip":
        method = zipfile.ZIP_STORED if kind.startswith("stored") else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(path, "w", method) as archive:
            for name in names:
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
            for name in names:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    path.write_bytes(damaged(path.read_bytes(), rng))
    settings = {"csv": folder / "v.csv", "media": [path]}
    found = extracted(folder, {"plugin": "vggsound", "settings": settings})
    path.unlink()
    return found


def file_round(kind: str) -> Callable[[Path, np.random.Generator], Counter[str]]:
    """Returns a round that damages one file of each of the names of a kind."""

    def one_round(folder: Path, rng: np.random.Generator) -> Counter[str]:
        (folder / "clips.csv").write_text(CLIPS)
        if not (folder / "whole.npy").exists():
            write_npy(folder / "whole.npy")
        found: Counter[str] = Counter()
        for name, write, reader in FILES[kind]:
            whole, path = folder / f"whole {name}", folder / name
            if not whole.exists():
                write(path)
                assert reader(folder, path), name
                path.rename(whole)
            path.write_bytes(damaged(whole.read_bytes(), rng, is_text=kind == "text"))
            found[f"{name} {'taken' if reader(folder, path) else 'refused'}"] += 1
        return found

    return one_round


ROUNDS = {
    "text": file_round("text"), "arrays": file_round("arrays"), "media": media_round,
    "archives": archive_round,
}  # fmt: skip


def run(kind: str, seed: int, seconds: float, folder: Path) -> None:
    """Runs rounds until the time is over, one at least; prints what came of them."""
    in_child.CPU_S = 2  # of a process that reads a few kilobytes
    found: Counter[str] = Counter()
    ends = time.monotonic() + seconds
    number = 0
    while number == 0 or time.monotonic() < ends:
        (folder / "round").write_text(f"{number}\n")
        signal.alarm(ROUND_S)
        found += ROUNDS[kind](folder, np.random.default_rng([seed, number]))
        number += 1
    signal.alarm(0)
    # What getrusage says of this process begins with the memory of the one that started it.
    of_children_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    peak_mib = max(peak_mib_of(os.getpid()), of_children_mib)
    print(
        json.dumps({"rounds": number, "peak_mib": peak_mib, "found": dict(sorted(found.items()))})
    )


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]))
