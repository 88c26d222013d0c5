"""The public functions for Python, on data small enough to check by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import avca_pipeline
from avca_pipeline import PipelineError
from avca_pipeline.artifacts import features
from avca_pipeline.artifacts.features import Features
from avca_pipeline.errors import TransientError
from avca_pipeline.inference.class_vectors import matched
from avca_pipeline.inference.predictions import Prediction, Predictions, RankedClass, scores_of
from avca_pipeline.inference.videos import segment
from avca_pipeline.media import MediaError
from avca_pipeline.media.decode_worker import rejecting
from avca_pipeline.media.windows import Window


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, avca_pipeline\n"
        "print(dir(avca_pipeline).count('load_run'), "
        "[m for m in ('torch', 'numpy', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "1 []\n"


def test_every_public_name_is_there_and_has_a_docstring() -> None:
    for name in avca_pipeline.__all__:
        assert getattr(avca_pipeline, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        avca_pipeline.nothing  # noqa: B018
    assert (Path(avca_pipeline.__file__).parent / "py.typed").is_file()


def test_embeddings_of_ones_own_are_scored() -> None:
    # On a line, with classes at 0, 10 and 20; the last one is unseen.
    found = avca_pipeline.evaluate(
        [[1.0], [9.0], [14.0], [16.0], [14.9]],
        ["a", "b", "b", "c", "c"],
        [[0.0], [10.0], [20.0]],
        ["a", "b", "c"],
        unseen=["c"],
    )
    assert (found.seen, found.unseen, found.zsl) == (1.0, 0.5, 1.0)
    assert found.hm == pytest.approx(2 / 3)
    assert found.per_class == {"a": 1.0, "b": 1.0, "c": 0.5}
    assert str(found) == "S 100.0 %  U 50.0 %  HM 66.7 %  ZSL 100.0 %"
    assert found.to_dict()["per_class"]["c"] == 0.5
    biased = avca_pipeline.evaluate(
        [[14.9]], ["c"], [[0.0], [10.0], [20.0]], ["a", "b", "c"], ["c"], bias=0.3
    )
    assert biased.unseen == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clips": [1.0]}, "must be (clips, dim) and (classes, dim), found (1,) and (2, 1)"),
        ({"class_of_clip": []}, "1 clips with 0 classes of clips"),
        ({"class_of_clip": ["z"]}, "class 'z' is not among"),
        ({"unseen": ["z"]}, "class 'z' is not among"),
        ({"class_names": ["a", "a"], "unseen": []}, "a class is twice among"),
        ({"clips": [[np.nan]]}, "clips: some of its numbers are not finite"),
        ({"classes": [[0.0], [np.inf]]}, "classes: some of its numbers are not finite"),
        ({"clips": [[1.0], [1.0, 2.0]]}, "clips cannot be read as an array of numbers"),
        ({"clips": [["far"]]}, "clips cannot be read as an array of numbers"),
        ({"clips": torch.ones(1, 1, requires_grad=True)}, "tensor.detach().cpu()"),
        ({"unseen": "b"}, "unseen must be a list of names, found 'b'"),
        ({"class_of_clip": "a"}, "class_of_clip must be a list of names"),
        ({"class_names": [["a"], ["b"]]}, "class_names must be a list of names"),
        ({"class_names": None}, "class_names must be a list of names, found empty"),
        ({"unseen": []}, "unseen: none is named"),
        ({"bias": np.nan}, "bias must be a finite number"),
        ({"bias": "1"}, "bias must be a finite number, found '1'"),
    ],
)
def test_embeddings_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    right: dict[str, object] = {
        "clips": [[1.0]], "class_of_clip": ["a"], "classes": [[0.0], [1.0]],
        "class_names": ["a", "b"], "unseen": ["b"],
    }  # fmt: skip
    with pytest.raises(PipelineError) as error:
        avca_pipeline.evaluate(**right | change)  # type: ignore[arg-type]
    assert message in str(error.value)


def test_names_become_vectors_and_features_are_read(tmp_path: Path) -> None:
    vectors = avca_pipeline.embed_text(["a cat", "a dog"], "hashed", dim=8)
    assert vectors.shape == (2, 8)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(
        avca_pipeline.embed_text(["a dog"], "hashed", dim=8)[0], vectors[1]
    )
    with pytest.raises(PipelineError, match=r"text_embeddings \(hashed\).*unknown key 'dims'"):
        avca_pipeline.embed_text(["a"], "hashed", dims=8)
    ones = np.ones(1, np.int64)
    features.write(tmp_path / "f.h5", Features(["c"], np.ones((1, 2)), ones, ones > 1))
    assert avca_pipeline.read_features(str(tmp_path / "f.h5")).clip_ids == ["c"]


def test_a_video_that_is_not_there_is_a_row_with_a_reason(tmp_path: Path) -> None:
    found = avca_pipeline.extract([tmp_path / "none.mp4"], "vggish", device="cpu")
    assert found.rejected == {str(tmp_path / "none.mp4"): "missing file"}
    assert found.attributes["weights"] == "random:0"


def test_each_video_that_cannot_be_used_has_a_reason_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~odd.mp4").write_text("no video")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    (tmp_path / "folder.mp4").mkdir()
    time = "; write #t=START,END in seconds"
    reasons = {
        "~odd.mp4": "not a media file: Invalid data found when processing input",
        "~nosuchuser/a.mp4": "missing file",
        "~odd.mp4/a.mp4": "missing file",
        "a\0.mp4": "missing file",
        f"{300 * 'a'}.mp4": "cannot be read: File name too long",
        "loop.mp4": "cannot be read: Too many levels of symbolic links",
        "folder.mp4": "a folder; name the videos in it",
        "https://example.org/a.mp4": "an address; download it first",
        "~odd.mp4#t=0:10": f"'#t=0:10' is no stretch of time{time}",
        "~odd.mp4#t=3,2": f"'#t=3,2' is no stretch of time{time}",
        "~odd.mp4#t=1,2": "not a media file: Invalid data found when processing input",
    }
    assert avca_pipeline.extract(list(reasons), "vggish", device="cpu").rejected == reasons


def test_a_clip_whose_disk_is_in_trouble_is_rejected_alone() -> None:
    def windows(_: object) -> Iterator[Window]:
        yield Window(np.zeros(1), 1)
        raise TransientError("a.mp4: cannot be read: Input/output error")

    made = rejecting(windows, None)
    assert next(made).num_valid == 1
    with pytest.raises(MediaError, match="cannot be read: Input/output error"):
        next(made)


@pytest.mark.parametrize("folder", ["~nosuchuser/x", 300 * "a", "."])
def test_a_path_of_a_run_that_cannot_be_read_is_one_line(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match=r"name one of them|File name too long") as error:
        avca_pipeline.load_run(folder, device="cpu")
    assert len(error.value.lines) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"device": "gpu"}, "device: expected auto, cpu, cuda, found 'gpu'"),
        ({"workers": 0}, "workers: expected a whole number from 1 on, found 0"),
        ({"workers": 1.5}, "workers: expected a whole number from 1 on"),
    ],
)
def test_where_to_compute_is_checked_first(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        avca_pipeline.extract([], "vggish", **{"device": "cpu", **wrong})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("surfing", r"list of names, such as \['surfing'\], found 'surfing'"),
        (b"surfing", "expected a list of names, such as"),
        (None, "found empty"),
        ([1], "a name must be a text, found 1"),
        (["a", " "], "a name is empty"),
        ([], "name at least one"),
    ],
)
def test_names_that_are_no_list_of_names_are_refused(names: Any, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        avca_pipeline.embed_text(names, "hashed", dim=8)
    with pytest.raises(PipelineError, match=message):
        matched(names, ["surfing"])


def test_space_around_a_name_is_no_part_of_it() -> None:
    assert matched([" riding ", "surfing\t"], ["surfing"]) == ["riding", "surfing"]
    np.testing.assert_array_equal(
        avca_pipeline.embed_text([" a cat "], "hashed", dim=8),
        avca_pipeline.embed_text(["a cat"], "hashed", dim=8),
    )


def test_what_a_run_is_not_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"no scores\.json.*no bundle\.json") as error:
        avca_pipeline.load_run(tmp_path, device="cpu")
    assert len(error.value.lines) == 1


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a/b.mp4", ("a/b.mp4", None, None)),
        ("b.mp4#t=1.3,2.58", ("b.mp4", 1.3, 2.58)),
        ("b.mp4#t=,2", ("b.mp4", 0.0, 2.0)),
        ("b.mp4#t=7", ("b.mp4", 7.0, None)),
        ("take #3.mp4", ("take #3.mp4", None, None)),
    ],
)
def test_a_stretch_of_a_file(written: str, expected: tuple[str, float, float]) -> None:
    found = segment(written)
    assert (str(found.path), found.start_s, found.end_s) == expected


def test_a_file_of_that_very_name_comes_before_a_stretch(tmp_path: Path) -> None:
    path = tmp_path / "b.mp4#t=1,2"
    path.touch()
    assert segment(path).path == path
    for wrong in ("b.mp4#t=2,1", "b.mp4#t=1.2.3", "b.mp4#t=3,3"):
        with pytest.raises(PipelineError, match="no stretch of time"):
            segment(wrong)


def test_a_class_of_the_run_is_found_by_its_letters() -> None:
    own = ("HandstandPushups", "surfing", "SURF-ing 2", "surf ing 2")
    assert matched(["handstand pushups", "surfing", "riding"], own) == [
        "HandstandPushups", "surfing", "riding",
    ]  # fmt: skip
    assert matched(["Surf Ing 2"], own) == ["Surf Ing 2"]  # of two alike nobody knows which
    with pytest.raises(PipelineError, match="'surfing' is named twice"):
        matched(["Surfing", "surfing"], own)
    with pytest.raises(PipelineError, match="a name is empty"):
        matched(["surfing", " "], own)
    with pytest.raises(PipelineError, match="name at least one"):
        matched([], own)


def test_scores_are_the_softmax_of_negative_distances() -> None:
    found = scores_of(np.array([[0.0, np.log(3.0)], [1000.0, 1000.0]]))
    np.testing.assert_allclose(found, [[0.75, 0.25], [0.5, 0.5]])


def test_predictions_can_be_read_and_written(monkeypatch: pytest.MonkeyPatch) -> None:
    ranking = (RankedClass("cat\n", True, 0.5, 0.75), RankedClass("dog", False, 1.5, 0.25))
    made = Predictions(
        (Prediction("a.mp4", 1.0, 2.0, ranking), Prediction("b.mp4", None, None, (), "empty file")),
        ("cat\n", "dog"), np.array([True, False]), np.array([[0.5, 1.5], [np.nan] * 2]), 0.1,
    )  # fmt: skip
    assert [made[0].class_name, made[1].class_name] == ["cat\n", ""]
    assert repr(made).splitlines() == [
        "a.mp4  1 s to 2 s",
        "   1  seen    distance 0.5000  score 0.750  cat\\n",
        "   2  unseen  distance 1.5000  score 0.250  dog",
        "b.mp4",
        "  cannot be used: empty file",
        "(score: softmax of the negative distances, with 0.1 added for seen classes, over 2 class "
        "names; it orders classes and is no probability)",
    ]
    assert made.to_csv().splitlines() == [
        "video,start_s,end_s,rank,class,seen,distance,score,reason",
        "a.mp4,1.0,2.0,1,cat\\n,True,0.5,0.75,",
        "a.mp4,1.0,2.0,2,dog,False,1.5,0.25,",
        "b.mp4,,,,,,,,empty file",
    ]  # fmt: skip
    assert made.to_dict()["predictions"][1]["reason"] == "empty file"
    assert repr(made[1]) == "b.mp4\n  cannot be used: empty file"
    assert made[0].to_dict() == made.to_dict()["predictions"][0]
    assert made[0].ranking[1].to_dict() == made[0].to_dict()["ranking"][1]
    assert json.loads(json.dumps(made[0].to_dict()))["ranking"][1]["class_name"] == "dog"
    ones = np.ones(2, np.int64)
    features = Features(
        ["a", "b"], np.ones((2, 3), np.float32), ones, ones > 1,
        notes={"gap_s": np.zeros(2)}, rejected={"c": "empty file"},
        attributes={"backbone": "c3d"}, hop_s=0.64,
    )  # fmt: skip
    assert repr(features) == "<features of c3d: 2 clips × 3, 1 rejected, a window every 0.64 s>"
    stated = json.loads(json.dumps(features.to_dict(), allow_nan=False))
    assert (stated["features"][1], stated["rejected"]) == ([1, 1, 1], {"c": "empty file"})
    assert (stated["hop_s"], stated["window_s"]) == (0.64, None)
    scored = avca_pipeline.evaluate([[1.0]], ["b"], [[0.0], [1.0]], ["a", "b"], ["b"])
    assert repr(scored).endswith("ZSL 100.0 %, with a bias of 0, 2 classes>")
    monkeypatch.setitem(sys.modules, "pandas", None)  # as if it were not installed
    for value in (made, made[0], features, scored):
        with pytest.raises(PipelineError, match="pandas is not installed"):
            value.to_frame()
    # What is asked of pandas, in the place of it: it is no package of the tests.
    asked = []
    pandas = SimpleNamespace(DataFrame=lambda *given, **named: asked.append((*given, named)))
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    features.to_frame()
    ((values, named),) = asked
    assert values.shape == (2, 3)
    assert named == {"columns": ["feature_0", "feature_1", "feature_2"], "index": ["a", "b"]}
