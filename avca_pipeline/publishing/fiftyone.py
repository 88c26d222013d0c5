"""A run for FiftyOne, in which clips can be looked at beside labels, predictions and embeddings.

The folder is a ``FiftyOneDataset`` in JSON, as FiftyOne 0.7 wrote it and every later release reads
it: its importer takes a ``metadata.json`` without ``version`` for one
(``fiftyone/utils/data/importers.py``, class ``LegacyFiftyOneDatasetImporter``, in the repository
voxel51/fiftyone; ``fiftyone/core/odm/utils.py`` has how arrays are written;
https://docs.voxel51.com/user_guide/import_datasets.html#fiftyonedataset). The newer layout is a
dump of FiftyOne's database, which only the release that wrote it reads for sure.

FiftyOne is no dependency and was not run with what is written here.
"""

from __future__ import annotations

import base64
import io
import json
import mimetypes
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline.artifacts import fetched, manifest, predictions, split
from avca_pipeline.artifacts import scores as score_files
from avca_pipeline.artifacts.atomic import atomic_write_folder
from avca_pipeline.artifacts.fetched import OK, FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.predictions import ClipPrediction, NearClass
from avca_pipeline.errors import PipelineError

METADATA, SAMPLES, NO_FRAMES = "metadata.json", "samples.json", "frames/none.json"


@dataclass(frozen=True)
class Counts:
    """How many clips are samples, and how many have no video file that FiftyOne shows."""

    samples: int
    left_out: int


def export(run: Path, out: Path) -> Counts:
    """Writes the folder, whole or not at all.

    Media stay where they are: the folder is for this machine. A clip that is a stretch of a file is
    a sample of the whole file, with ``start_s`` and ``end_s``.

    Args:
        run: folder of a run within a whole folder of results.
        out: the folder; what is there already must be one of these, and is replaced.

    Raises:
        PipelineError: no run has ended there, or it has no predictions; no clip has a video file;
            the folder cannot be written.
    """
    _check_replaceable(out)
    run = run.resolve()
    if not (run / "scores.json").is_file():
        raise PipelineError(f"{run}: is not the folder of a run that has ended: no scores.json")
    scores = score_files.read(run / "scores.json")
    results = run.parents[len(Path(scores.run.path).parts) - 1]
    own = results / scores.run.dataset
    answers = {clip.clip_id: clip for clip in _predictions(run)}
    embeddings = score_files.read_embeddings(run / "embeddings.h5")
    row_of = {clip_id: row for row, clip_id in enumerate(embeddings.clip_ids)}
    partition_of = {
        clip.clip_id: clip.partition
        for clip in split.read(own / "splits" / f"{scores.run.split}.csv")
    }
    media = {
        row.clip_id: row
        for table in sorted((own / "fetched").glob("*.csv"))
        for row in fetched.read(table)
    }
    samples, num_left_out = [], 0
    for clip in manifest.read(own / "manifest.csv"):
        file = _video(media.get(clip.clip_id), results)
        if file is None:
            num_left_out += 1
            continue
        row = row_of.get(clip.clip_id)
        samples.append(
            _sample(
                clip,
                file,
                partition_of.get(clip.clip_id, ""),
                media[clip.clip_id],
                answers.get(clip.clip_id),
                None if row is None else embeddings.clips[row],
            )
        )
    if not samples:
        raise PipelineError(
            f"{run}: none of its {num_left_out} clips has a video file here that FiftyOne shows"
        )
    info = {"run": scores.run.path, "bias": scores.bias}
    classes = [part.class_name for part in scores.per_class]
    metadata = {"media_type": "video", "info": info, "default_classes": classes}
    with atomic_write_folder(out) as folder:
        (folder / NO_FRAMES).parent.mkdir()
        for name, content in (
            (METADATA, metadata),
            (SAMPLES, {"samples": samples}),
            (NO_FRAMES, {"frames": {}}),
        ):
            text = json.dumps(content, ensure_ascii=False, allow_nan=False)
            (folder / name).write_text(f"{text}\n", encoding="utf-8")
    return Counts(len(samples), num_left_out)


def _check_replaceable(out: Path) -> None:
    try:
        found = {path.name for path in out.iterdir()} if out.is_dir() else set()
        is_other = out.exists() and (not out.is_dir() or found - {METADATA, SAMPLES, "frames"})
    except OSError as error:
        raise PipelineError(f"{out}: cannot be written ({error.strerror})") from error
    if is_other:
        raise PipelineError(f"{out}: is there and is something else; name a folder that is not")


def _predictions(run: Path) -> Sequence[ClipPrediction]:
    if not (run / "predictions.csv").is_file():
        raise PipelineError(
            f"{run}: has no predictions.csv, which this release writes; run the workflow again"
        )
    return predictions.read(run / "predictions.csv").clips


def _video(row: FetchedClip | None, results: Path) -> Path | None:
    """Returns the whole path of a clip's file; nothing where FiftyOne would take it for no video.

    A relative path begins where the workflow ran, at the results or above them.
    """
    if row is None or not row.path:
        return None
    kind = mimetypes.guess_type(row.path)[0] or ""
    if not kind.startswith("video/"):
        return None
    places = (Path(), *results.parents)
    found = (place / row.path for place in places if (place / row.path).is_file())
    first = next(found, None)
    return None if first is None else first.absolute()


def _sample(
    clip: Clip,
    file: Path,
    partition: str,
    row: FetchedClip,
    answer: ClipPrediction | None,
    embedding: np.ndarray | None,
) -> dict[str, Any]:
    """Returns a clip as FiftyOne's ``Sample.from_dict`` takes it."""
    is_rejected = row.status != OK
    kind = [] if answer is None else ["unseen" if answer.is_unseen else "seen"]
    sample: dict[str, Any] = {
        "filepath": str(file),
        "tags": [*filter(None, [partition]), *kind, *(["rejected"] if is_rejected else [])],
        "frames": NO_FRAMES,
        "clip_id": clip.clip_id,
        "source_id": clip.source_id,
        "ground_truth": _label(clip.class_name),
    }
    seconds: Mapping[str, float | None] = {"start_s": clip.start_s, "end_s": clip.end_s}
    sample |= {name: value for name, value in seconds.items() if value is not None}
    if row.reason:
        sample["rejected_because"] = row.reason
    if answer is not None:
        top = [_answer(near) for near in answer.top]
        sample |= {
            "prediction": top[0],
            "top": {"_cls": "Classifications", "classifications": top},
            "rank": answer.rank,
            "is_right": answer.rank == 1,
        }
    if embedding is not None:
        sample["embedding"] = _array(embedding)
    return sample


def _label(name: str, **more: Any) -> dict[str, Any]:
    return {"_cls": "Classification", "tags": [], "label": name, **more}


def _answer(near: NearClass) -> dict[str, Any]:
    return _label(near.class_name, distance=near.distance, is_unseen=near.is_unseen)


def _array(values: np.ndarray) -> dict[str, Any]:
    """Returns an array as FiftyOne writes it to JSON: the bytes of a .npy file, compressed."""
    with io.BytesIO() as file:
        np.save(file, np.asarray(values, np.float32), allow_pickle=False)
        packed = zlib.compress(file.getvalue())
    return {"$binary": {"base64": base64.b64encode(packed).decode("ascii"), "subType": "00"}}
