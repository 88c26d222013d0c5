"""Archives of features that the authors of methods publish: what is in them, and where they are."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from avca_pipeline.published.checksums import known_checksums
from avca_pipeline.published.lists import DATASETS

TCAF = "https://s3.mlcloud.uni-tuebingen.de/tcaf-gzsl"
TCAF_PAGE = "https://github.com/ExplainableML/TCAF-GZSL#download-features"


@dataclass(frozen=True)
class FeatureArchive:
    """A ZIP of features in the published layout.

    Attributes:
        what: whose features of which benchmarks.
        page: where a person downloads it.
        address: where a program tries to.
        below: the folder that a config expects the benchmarks in.
    """

    what: str
    page: str
    address: str
    below: str = ""


def _on_drive(what: str, file_id: str, below: str = "") -> FeatureArchive:
    """Returns an archive on Google Drive, which may answer programs with a page for people."""
    return FeatureArchive(
        what,
        f"https://drive.google.com/file/d/{file_id}/view",
        f"https://drive.usercontent.google.com/download?id={file_id}&export=download&confirm=t",
        below,
    )


def _of_tcaf(file: str, what: str) -> FeatureArchive:
    return FeatureArchive(f"{what}, by window, of TCaF", TCAF_PAGE, f"{TCAF}/{file}.zip")


ARCHIVES = {
    "avca": _on_drive(
        "SeLaVi, C3D and VGGish, means, of AVCA: all three benchmarks",
        "1NzpSVL-2nXRFH6pvHNOZeRhu_jfDL0ZE",
        DATASETS,
    ),
    "clipclap": _on_drive(
        "CLIP and WavCaps' CLAP, of ClipClap: all three benchmarks",
        "1fNb3WvbN76yuPVi4MeVtgDycdX0jAE2G",
    ),
    "tcaf-ucf": _of_tcaf("ucf-supervised-temporal", "C3D and VGGish of UCF-GZSL"),
    "tcaf-activitynet": _of_tcaf(
        "activitynet-supervised-temporal", "C3D and VGGish of ActivityNet-GZSL"
    ),
    "tcaf-vggsound": _of_tcaf("vggsound-supervised-temporal", "C3D and VGGish of VGGSound-GZSL"),
}


def place_of_member(name: str) -> str | None:
    """Returns where a member of an archive belongs: ``UCF/features/…``; ``None`` for other files.

    The archives have different folders around the benchmarks, and files besides features.
    """
    benchmarks = "|".join(known_checksums())
    found = re.search(rf"(?:^|/)((?:{benchmarks})/features/.+)", name.replace("\\", "/"))
    return found[1] if found else None


def how_to_get(folder: Path) -> str:
    """Returns a command that gets the published features of a folder, and from where, or nothing.

    Args:
        folder: such as ``data/official/avgzsl_benchmark_datasets/UCF/features/main_features``.
    """
    *_, benchmark, features, kind = ("", "", *folder.parts)
    if features != "features" or benchmark not in known_checksums():
        return ""
    above = folder.parents[2]
    name = f"tcaf-{benchmark.lower()}"
    if kind != "cls_features_non_averaged":
        name, above = "avca", above.parent if above.name == DATASETS else above
    elif "clipclap" in str(above).lower():
        name = "clipclap"
    place = shlex.quote(str(above))
    return f"avca fetch-features {name} --out {place} (from {ARCHIVES[name].page})"
