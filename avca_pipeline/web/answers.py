"""What the page gets to know: of the run, of a video, and of a video among class names."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from avca_pipeline.errors import PipelineError, one_line
from avca_pipeline.inference.classifier import TrainedRun
from avca_pipeline.inference.parts import Part, parts_over_time, whole_parts
from avca_pipeline.inference.predictions import Predictions
from avca_pipeline.web.uploads import size

KEPT_BYTES = 512 << 20
"""Memory for the features of videos, by which they are ranked again among other names."""
TOP = 100


class UnknownVideoError(Exception):
    """The features of a video are not kept any more."""


@dataclass(frozen=True)
class SeenVideo:
    """A video that the backbones have seen.

    Attributes:
        whole: its features.
        stretches: those of each stretch; empty where nobody knows where windows are in time.
    """

    whole: Part
    stretches: Sequence[Part]

    @property
    def num_bytes(self) -> int:
        """The memory that it takes."""
        parts = [self.whole, *self.stretches]
        return sum(array.nbytes for part in parts for array in part.features.values())


class Answers:
    """Computes all answers; used by one thread at a time.

    Args:
        run: what classifies. Its networks are loaded here.
        class_names: that the page begins with.
        max_bytes: of a video.

    Raises:
        PipelineError: weights are missing, damaged or other ones.
    """

    def __init__(self, run: TrainedRun, class_names: Sequence[str], max_bytes: int) -> None:
        self.run, self.class_names, self.max_bytes = run, class_names, max_bytes
        self._videos: OrderedDict[str, SeenVideo] = OrderedDict()
        self._has_timeline = run.encode([]).timings.keys() == run.backbones.keys()

    def of_run(self) -> dict[str, Any]:
        """Returns what the page begins with."""
        duration_s = self.run.bundle.description.max_duration_s
        return {
            "name": one_line(self.run.bundle.description.name),
            "class_names": list(self.class_names),
            "is_seen": [name in self.run.seen_classes for name in self.class_names],
            "max_bytes": self.max_bytes,
            "limits": f"up to {size(self.max_bytes)} and {duration_s / 60:.4g} minutes",
        }

    def of_video(self, path: Path) -> dict[str, Any]:
        """Returns the key of a video under which its features are kept, or why there are none.

        Args:
            path: of the file, which is removed.
        """
        try:
            encoded = self.run.encode(path, keep_windows=self._has_timeline)
            (whole,) = whole_parts(encoded)
            stretches = parts_over_time(encoded) if self._has_timeline and not whole.reason else []
        except PipelineError as error:
            return {"error": _without(path, str(error))}
        finally:
            path.unlink(missing_ok=True)
        if whole.reason:
            return {"reason": _without(path, whole.reason)}
        key = secrets.token_urlsafe(16)
        self._videos[key] = SeenVideo(whole, stretches)
        while len(self._videos) > 1 and self._num_bytes() > KEPT_BYTES:
            self._videos.popitem(last=False)
        return {"video": key}

    def of_names(self, key: str, class_names: Sequence[str]) -> dict[str, Any]:
        """Returns the ranking and the timeline of a video among class names.

        Raises:
            UnknownVideoError: the video is not kept any more.
            PipelineError: a name has no vector.
        """
        if key not in self._videos:
            raise UnknownVideoError
        self._videos.move_to_end(key)
        video = self._videos[key]
        asked = self.run.classes_asked_for(class_names)
        whole = self.run.ranked([video.whole], *asked, TOP)
        return {
            "class_names": list(whole.class_names),
            "is_seen": whole.is_seen.tolist(),
            "explanation": whole.explanation,
            "ranking": [asdict(of_class) for of_class in whole[0].ranking],
            "timeline": _timeline(self.run.ranked(video.stretches, *asked, 1)),
        }

    def _num_bytes(self) -> int:
        return sum(video.num_bytes for video in self._videos.values())


def _timeline(found: Predictions) -> list[dict[str, Any]]:
    return [
        {"start_s": part.start_s, "end_s": part.end_s, **asdict(part.ranking[0])} for part in found
    ]


def _without(path: Path, text: str) -> str:
    """Returns a sentence in which the file on the server is not named."""
    return one_line(text.replace(str(path), "the video").replace(path.name, "the video"))
