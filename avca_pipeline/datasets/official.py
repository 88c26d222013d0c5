"""The clips that a benchmark's published lists name, without media: for features made elsewhere.

============  ====================================================================================
Paper         Mercea, Riesch, Koepke, Akata: Audio-visual Generalised Zero-shot Learning with
              Cross-modal Attention and Language. CVPR 2022, arXiv 2203.03598
Size          UCF-GZSL 51 classes, ActivityNet-GZSL 200, VGGSound-GZSL 276
Where from    the GitHub repository ExplainableML/AVCA-GZSL, or ``avca lists``
Licence       MIT
============  ====================================================================================

What to know:

- The lists come in two kinds, ``main`` and ``cls``. Beside each CSV of clips lies a TXT of
  classes; in ``cls`` the TXT leaves out unseen test classes that the supervised backbones were
  trained on, and the CSV still has their clips. All clips are listed here; the split follows the
  TXT.
- The columns of the CSV files differ from benchmark to benchmark; they are found by their header.

The beginning of a list (UCF, ``stage_1_val_seen.csv``)::

    filename,label,label_code
    v_Archery_g01_c06,Archery,2
"""

from __future__ import annotations

from pathlib import Path

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.datasets import defaults
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.fetching.archive_members import MAX_BYTES
from avca_pipeline.media import MediaError
from avca_pipeline.published import lists
from avca_pipeline.settings import PluginSettings

CITATIONS = ("mercea2022avca",)


class Settings(PluginSettings):
    """Every clip in any of a benchmark's lists."""

    path: Path
    """The folder that ``avgzsl_benchmark_datasets`` is in."""
    benchmark: str
    """Name of the benchmark: ``UCF``, ``ActivityNet``, ``VGGSound``, or the name of one that this
    package has exported.
    """


remarks = defaults.remarks
find = defaults.find
downloader = defaults.downloader
download = defaults.download


def inputs(settings: Settings) -> list[Path]:
    """Returns the list of classes and all lists of clips.

    Raises:
        PipelineError: there are none.
    """
    folder = lists.class_split(settings.path, settings.benchmark)
    clip_lists = sorted(
        path for name in lists.FOLDERS.values() for path in folder.glob(f"{name}/*.csv")
    )
    if not clip_lists:
        raise PipelineError(f"{folder}: no lists of clips in {' or '.join(lists.FOLDERS.values())}")
    return [folder / lists.ALL_CLASSES, *clip_lists]


def clips(settings: Settings) -> list[Clip]:
    """Returns every clip that is listed, once.

    Raises:
        PipelineError: a list is malformed, or two of them contradict each other.
    """
    names = lists.class_names(settings.path, settings.benchmark)
    clip_of: dict[str, lists.PublishedClip] = {}
    for file in inputs(settings)[1:]:
        for clip in lists.read_clips(file, settings.benchmark, names):
            if clip_of.setdefault(clip.clip_id, clip) != clip:
                raise FormatError(
                    f"{file}: clip {clip.clip_id!r} has another class or source than in a list "
                    "read before"
                )
    return [
        Clip(clip.clip_id, clip.source_id, clip.class_name, path_or_url=clip.clip_id)
        for clip in clip_of.values()
    ]


def locate(settings: Settings, clip: Clip, folder: Path, max_bytes: int = MAX_BYTES) -> Path:
    """Raises `MediaError`: the lists come without media."""
    raise MediaError(
        "missing file: the published lists come without media; use the dataset's own plugin, or "
        "imported features"
    )
