"""Stage ``extract``: turns the clips of a shard into features of one backbone.

Decode workers run ahead of the network, in processes of their own, and wait when their memory for
finished windows is full: the memory of a job does not depend on the length of a clip. Windows of
different clips share a batch, and each window's features go back to its clip. See
`extraction.encoder` for what a GPU and the host do at the same time.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import platform
from pathlib import Path

from avca_pipeline import registry
from avca_pipeline.artifacts import features, fetched
from avca_pipeline.artifacts.temporary import remove_stale_temporaries
from avca_pipeline.artifacts.text_files import canonical_json
from avca_pipeline.config import validated
from avca_pipeline.errors import PipelineError
from avca_pipeline.extraction.decoding import decode_pool
from avca_pipeline.extraction.encoded_clip import as_features
from avca_pipeline.extraction.encoder import encode_decoded
from avca_pipeline.extraction.shard import usable_clips, write_missing_files
from avca_pipeline.fetching import archives
from avca_pipeline.requests import ExtractRequest
from avca_pipeline.runtime.addresses import redacted
from avca_pipeline.runtime.progress import Progress

logger = logging.getLogger(__name__)

LIBRARIES = (
    "torch", "torchaudio", "torchvision", "timm", "transformers", "librosa", "av", "numpy",
)  # fmt: skip
MISSING_FILE = (
    "missing file: it was there when the clip was fetched; once it is back, a run adds the clip"
)


def run(
    request: ExtractRequest,
    clips: Path,
    table: Path,
    out: Path,
    *,
    cache: Path,
    device: str,
    workers: int,
    media: Path | None = None,
) -> None:
    """Writes the features of a shard's usable clips and why the others have none.

    Args:
        request: the backbone, and what a clip may cost.
        clips: the shard's list of clips.
        table: the shard's table of fetched media.
        out: the features file.
        cache: folder of downloaded weights.
        device: ``cpu`` or ``cuda``.
        workers: how many clips are decoded at a time.
        media: archive that ``fetch`` packed on a machine whose disk this one does not see.

    Raises:
        PipelineError: windows are to be kept but their times are not known; the weights are
            missing, wrong or damaged, or a table or the archive is; or a file has another content
            than when it was fetched, or all files are missing.
    """
    backbone = registry.load("backbones", request.plugin)
    typed = validated(backbone.Settings, request.settings, f"backbones ({request.plugin})")
    typed = typed.with_files(cache)
    timing = backbone.spec(typed).timing
    if request.keep_windows and timing is None:
        raise PipelineError(
            f"backbones.{request.backbone}.keep_windows: the plugin {request.plugin!r} does not "
            "say where its windows are in time; give its Spec a timing, or leave the key out"
        )
    title = f"extract {request.backbone} {request.shard}"
    remove_stale_temporaries(out.parent)
    with contextlib.ExitStack() as stack:
        unpacked = stack.enter_context(archives.unpacked(media, out.parent)) if media else {}
        listed, rows_in_place = usable_clips(clips, table, unpacked)
        missing = fetched.away(rows_in_place)
        present = [clip for clip in listed if clip.clip_id not in missing]
        pool = decode_pool(
            backbone, typed, present, request.limits, device=device, num_workers=workers
        )
        with pool, Progress(title, len(present), "clips") as progress:
            weights = encode_decoded(
                pool,
                present,
                backbone,
                typed,
                cache=cache,
                device=device,
                keep_windows=request.keep_windows,
                when_finished=lambda clip: progress.advance(note=clip.clip_id),
            )
        # A disk may have gone away, or a file have been replaced, while it was read.
        missing |= fetched.away(rows_in_place)
    for clip in listed:
        if clip.clip_id in missing:
            clip.reason = MISSING_FILE
    write_missing_files(out, sorted(set(missing.values())))
    shard = as_features(
        listed, _attributes(request, weights), timing, keep_windows=request.keep_windows
    )
    features.write(out, shard)
    logger.info(f"{title}: {len(shard.clip_ids)} clips, {len(shard.rejected)} rejected")


def _attributes(request: ExtractRequest, weights: str) -> dict[str, str]:
    """Returns what the features file says of itself: what made the features, and from what."""
    return {
        "backbone": request.plugin,
        "weights": weights,
        "preprocessing": redacted(canonical_json(request.settings)),
        "python": platform.python_version(),
        **_versions(),
    }


def _versions() -> dict[str, str]:
    """Returns the versions of the libraries that features may depend on, those that are there.

    They are no part of a recipe: a new release of one makes no feature anew.
    """
    versions = {}
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions
