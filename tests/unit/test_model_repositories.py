"""Models from repositories: downloaded once, verified, pinned, and refused in one line."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from pydantic import ValidationError

from avca_pipeline.artifacts import labels, manifest
from avca_pipeline.artifacts.bundle import BundledText
from avca_pipeline.backbones import transformers_audio, transformers_images
from avca_pipeline.errors import PipelineError
from avca_pipeline.inference.class_vectors import embed_names, new_vectors
from avca_pipeline.requests import EmbedRequest
from avca_pipeline.stages import embed
from avca_pipeline.text_embeddings import concatenated, transformers_text
from avca_pipeline.transformer_models import model_files, repositories
from tests.serving import Request, serving
from tests.transformer_models import saved

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Repositories of one model, as a hub shows them.

    Attributes:
        address: of the repository ``someone/tiny``.
        files: its files by name.
        asked: paths that have been asked for.
        commit: at the end of its branch ``main``.
        listed: the commit that the list of files says it is of, if that is another.
        wrong: what is answered in the place of a file.
        has_checksums: whether the list of files says what each of them hashes to.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.address, self.files, self.commit = "", files, COMMIT
        self.asked: list[str] = []
        self.wrong: dict[str, bytes] = {}
        self.has_checksums = True
        self.listed = ""

    def answer(self, request: Request) -> None:
        path = request.path.partition("?")[0]
        self.asked.append(path)
        if path.startswith("/api/models/someone/tiny/revision/"):
            revision = path.rpartition("/")[2]
            if revision in ("main", self.commit):
                request.answer(json.dumps(self.listing()).encode(), Content_Type="application/json")
            else:
                request.answer(b"no", 404)
        elif path.startswith("/api/"):
            request.answer(b"who are you", 401)
        else:
            name = path.removeprefix(f"/someone/tiny/resolve/{self.commit}/")
            content = self.wrong.get(name, self.files.get(name))
            if content is None:
                request.answer(b"no", 404)
            else:
                request.answer(content, Content_Type="application/octet-stream")

    def listing(self) -> dict[str, Any]:
        siblings = []
        for name, content in self.files.items():
            entry: dict[str, Any] = {"rfilename": name, "size": len(content)}
            if name.endswith(".safetensors"):
                entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest()}
                entry["blobId"] = "of the pointer"
            else:
                entry["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            if not self.has_checksums:
                entry = {"rfilename": name}
            siblings.append(entry)
        return {
            "sha": self.listed or self.commit,
            "siblings": siblings,
            "cardData": {"license": "apache-2.0"},
        }


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved("clip", tmp_path_factory.mktemp("model"))


@pytest.fixture
def hub(model: Path) -> Iterator[Hub]:
    files = {path.name: path.read_bytes() for path in model.iterdir()}
    files |= {
        "README.md": b"hello",
        "modeling_tiny.py": b"raise SystemExit",
        "pytorch_model.bin": b"x",
    }
    made = Hub(files)
    with serving(made.answer) as address:
        made.address = f"{address}/someone/tiny"
        yield made


def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> NoReturn:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_a_model_is_downloaded_once_and_is_the_one_in_the_folder(
    hub: Hub,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = transformers_text.Settings(model=hub.address)
    with caplog.at_level("INFO"):
        downloaded = settings.with_files(tmp_path)
    assert "licence: apache-2.0" in caplog.text
    assert f"main is commit {COMMIT}, pinned on first use" in caplog.text
    names = {path.rpartition("/")[2] for path in hub.asked}
    assert {"config.json", "model.safetensors", "tokenizer.json"} < names
    assert not names & {"README.md", "modeling_tiny.py", "pytorch_model.bin"}
    no_network(monkeypatch)  # From here on, what is in the cache must do.
    caplog.clear()
    again = settings.with_files(tmp_path)
    assert "licence" not in caplog.text
    local = transformers_text.Settings(model=str(model))
    expected = transformers_text.vectors(local, ["surfing"])
    for ready in (downloaded, again):
        np.testing.assert_array_equal(transformers_text.vectors(ready, ["surfing"]), expected)
    images = transformers_images.Settings(model=hub.address).with_files(tmp_path)
    _, weights = transformers_images.build(images, tmp_path)
    assert weights == hashlib.sha256(hub.files["model.safetensors"]).hexdigest()
    assert hub.address in transformers_text.describe(settings)


def test_vectors_are_written_with_the_weights_that_made_them(
    hub: Hub, model: Path, tmp_path: Path
) -> None:
    parts = [
        {"plugin": "transformers_text", "settings": {"model": name}}
        for name in (hub.address, str(model))
    ]
    request = EmbedRequest(plugin="concatenated", settings={"parts": parts})
    manifest.write(tmp_path / "clips.csv", [manifest.Clip("v1", "s1", "fox", "v1.mp4")])
    embed.run(request, tmp_path / "clips.csv", tmp_path / "v.h5", cache=tmp_path / "cache")
    sha256 = hashlib.sha256(hub.files["model.safetensors"]).hexdigest()
    assert json.loads(labels.read(tmp_path / "v.h5").attributes["weights"]) == [
        {"name": hub.address, "revision": COMMIT, "sha256": sha256},
        {"name": model.name, "revision": "", "sha256": sha256},
    ]


def test_a_name_gets_no_vector_of_other_weights_than_the_runs_own(hub: Hub, tmp_path: Path) -> None:
    settings = {"model": hub.address}
    made = embed_names("transformers_text", settings, ["fox"], tmp_path / "run")
    weights = tuple(json.loads(made.attributes["weights"]))
    text = BundledText("transformers_text", "", settings, (), made.vectors.shape[1], weights)
    np.testing.assert_array_equal(new_vectors(text, ["fox"], tmp_path / "same"), made.vectors)
    hub.commit = "f" * 40  # Elsewhere the same name is downloaded later.
    with pytest.raises(PipelineError) as error:
        new_vectors(text, ["fox"], tmp_path / "elsewhere")
    (line,) = error.value.lines
    assert f"of commit {'f' * 40}, and the run was trained with" in line
    assert f"of commit {COMMIT}; " in line
    assert "--cache" in line
    other = ({**weights[0], "sha256": "ab" * 32},)
    with pytest.raises(PipelineError, match="trained with weights abababababab of commit 0123"):
        new_vectors(replace(text, weights=other), ["fox"], tmp_path / "run")


def test_what_is_downloaded_stays_when_the_repository_moves_on(hub: Hub, tmp_path: Path) -> None:
    first = repositories.obtain(hub.address, None, tmp_path)
    hub.commit = "f" * 40
    hub.files["config.json"] += b"\n"
    assert repositories.obtain(hub.address, None, tmp_path) == first
    assert (first / "config.json").read_bytes() + b"\n" == hub.files["config.json"]
    named = repositories.obtain(hub.address, "f" * 40, tmp_path)
    assert (named / "config.json").read_bytes() == hub.files["config.json"]


def test_a_list_of_another_commit_than_the_one_asked_for_is_not_kept(
    hub: Hub, tmp_path: Path
) -> None:
    hub.listed = "e" * 40
    with pytest.raises(PipelineError, match=f"lists another commit than {COMMIT}"):
        repositories.obtain(hub.address, COMMIT, tmp_path)
    hub.listed = ""
    folder = repositories.obtain(hub.address, COMMIT, tmp_path)
    assert (folder / "config.json").read_bytes() == hub.files["config.json"]


def test_the_space_of_a_model_is_its_commit_however_that_is_named(hub: Hub, tmp_path: Path) -> None:
    for revision in (None, "main", COMMIT):
        for module in (transformers_images, transformers_text):
            settings = module.Settings(model=hub.address, revision=revision)
            assert settings.shared_spaces(tmp_path) == (f"{hub.address}@{COMMIT}",)
    hub.commit = "f" * 40
    settings = transformers_images.Settings(model=hub.address, revision="f" * 40)
    assert settings.shared_spaces(tmp_path) == (f"{hub.address}@{'f' * 40}",)


def test_each_host_repository_and_revision_has_a_folder_of_its_own(tmp_path: Path) -> None:
    named = [
        (model, revision)
        for model in (
            "owner/name", "owner/other", "https://one.example/owner/name",
            "https://two.example/owner/name", "https://two.example:8443/owner/name",
        )
        for revision in (None, "v1", COMMIT)
    ]  # fmt: skip
    made = [repositories.repository(*name, tmp_path) for name in named]
    assert len({source.folder for source in made}) == len(named)
    assert {source.folder.parent for source in made} == {tmp_path / "models"}
    assert made[0].address == "https://huggingface.co/owner/name"
    assert made[0].revision == "main"
    assert made[6].address == "https://one.example/owner/name"


def test_a_model_is_downloaded_for_a_part_of_the_vectors_too(
    hub: Hub, model: Path, tmp_path: Path
) -> None:
    parts = [
        {"plugin": "hashed", "settings": {"dim": 3}},
        {"plugin": "transformers_text", "settings": {"model": hub.address, "templates": "so {}"}},
    ]
    ready = concatenated.Settings(parts=parts).with_files(tmp_path)
    local = transformers_text.Settings(model=str(model), templates="so {}")
    found = concatenated.vectors(ready, ["surfing", "yo yo"])
    expected = transformers_text.vectors(local, ["surfing", "yo yo"])
    np.testing.assert_array_equal(found[:, 3:], expected)


def test_a_cache_may_be_named_by_a_relative_path(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ready = transformers_images.Settings(model=hub.address).with_files(Path("cache"))
    assert ready.folder.is_absolute()
    assert ready.folder.is_relative_to(tmp_path / "cache")
    assert ready.revision is None


def test_looking_up_downloads_hardly_anything(hub: Hub, tmp_path: Path) -> None:
    transformers_images.Settings(model=hub.address).look_up(tmp_path)
    assert len(hub.asked) == 2
    assert hub.asked[1].endswith("config.json")
    with pytest.raises(PipelineError, match=r"of the family 'clip'; for audio there are: .*clap"):
        transformers_audio.Settings(model=hub.address).look_up(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_another_file_than_the_listed_one_is_not_kept(name: str, hub: Hub, tmp_path: Path) -> None:
    hub.wrong[name] = b"{}"
    with pytest.raises(PipelineError, match=f"{name}: is not the file that its repository lists"):
        repositories.obtain(hub.address, None, tmp_path)
    assert not list(tmp_path.rglob(name))
    hub.wrong.clear()
    folder = repositories.obtain(hub.address, None, tmp_path)
    (folder / name).write_bytes(b"{}")
    with pytest.raises(PipelineError, match=f"{name}: is not the file that its repository lists"):
        repositories.obtain(hub.address, None, tmp_path)


BESIDE_THE_WEIGHTS = (
    "added_tokens.json", "config.json", "merges.txt", "preprocessor_config.json",
    "processor_config.json", "sentencepiece.bpe.model", "special_tokens_map.json", "spiece.model",
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "video_preprocessor_config.json",
    "vocab.json", "vocab.txt",
)  # fmt: skip
"""The files of processors and tokenizers that the library reads, whatever the model."""


def test_all_files_that_the_library_reads_are_taken(hub: Hub, tmp_path: Path) -> None:
    hub.files |= {name: b"{}" for name in BESIDE_THE_WEIGHTS if name not in hub.files}
    folder = repositories.obtain(hub.address, None, tmp_path)
    kept = {path.name for path in folder.iterdir() if path.suffix not in (".lock", ".sha256")}
    assert kept == {*BESIDE_THE_WEIGHTS, "model.safetensors", "repository.json"}
    local = transformers_images.Settings(model=str(folder)).local_files().values()
    assert {path.name for path in local} == {*BESIDE_THE_WEIGHTS, "model.safetensors"}


def test_an_unknown_repository_or_revision_is_one_line(hub: Hub, tmp_path: Path) -> None:
    unknown = hub.address.replace("tiny", "huge")
    for model_name, revision in ((unknown, None), (hub.address, "v2")):
        settings = transformers_images.Settings(model=model_name, revision=revision)
        with pytest.raises(PipelineError, match="no such repository or revision") as caught:
            settings.look_up(tmp_path)
        assert "\n" not in str(caught.value)
        assert not list(tmp_path.rglob("repository.json"))


def test_weights_that_are_no_safetensors_are_refused(hub: Hub, tmp_path: Path) -> None:
    del hub.files["model.safetensors"]
    with pytest.raises(PipelineError, match=r"has no model\.safetensors.*could run code"):
        transformers_images.Settings(model=hub.address).look_up(tmp_path)


def test_shards_are_taken_by_their_index(hub: Hub, model: Path, tmp_path: Path) -> None:
    import transformers

    network = transformers.CLIPModel.from_pretrained(model)
    network.save_pretrained(tmp_path / "sharded", max_shard_size="60KB")
    for path in model.glob("*.json"):
        (tmp_path / "sharded" / path.name).write_bytes(path.read_bytes())
    del hub.files["model.safetensors"]
    hub.files |= {path.name: path.read_bytes() for path in (tmp_path / "sharded").iterdir()}
    assert sum(name.endswith(".safetensors") for name in hub.files) > 1
    ready = transformers_text.Settings(model=hub.address).with_files(tmp_path / "cache")
    whole = transformers_text.vectors(transformers_text.Settings(model=str(model)), ["surfing"])
    np.testing.assert_array_equal(transformers_text.vectors(ready, ["surfing"]), whole)
    assert len(model_files.weights_sha256(ready.folder)) == 64


@pytest.mark.parametrize("name", ["", "a/b/c", "../x y", "ftp://host/a/b", "owner/..", "a b"])
def test_what_is_no_name_of_a_model_is_refused(name: str) -> None:
    if name.startswith("."):
        assert repositories.is_folder(name)
        return
    with pytest.raises(ValidationError, match="write owner/name"):
        transformers_images.Settings(model=name)


@pytest.mark.parametrize(
    "name",
    [
        "https://host/o/n?token=abc",
        "https://host/o/n#x",
        "https:///o/n",
        "https://user:word@/o/n",
        "https://host:99999/o/n",
        "http://[::1/o/n",
        "~nouser/x",
        "/" + "x" * 300,
        "./x\0y",
    ],
)
def test_an_address_or_a_folder_that_nobody_can_use_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        transformers_images.Settings(model=name)


def test_files_without_a_listed_checksum_are_pinned_at_first_use(hub: Hub, tmp_path: Path) -> None:
    hub.has_checksums = False
    folder = repositories.obtain(hub.address, None, tmp_path)
    assert repositories.obtain(hub.address, None, tmp_path) == folder
    for name in ("config.json", "model.safetensors"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content.replace(b"e", b"f", 1))
        with pytest.raises(PipelineError, match=f"{name}: SHA-256 is .*, expected"):
            repositories.obtain(hub.address, None, tmp_path)
        (folder / name).write_bytes(content)


def test_what_is_no_revision_or_weights_is_refused() -> None:
    with pytest.raises(ValidationError, match="commit, a tag or a branch"):
        transformers_images.Settings(model="a/b", revision="../../x")
    with pytest.raises(ValidationError, match="published or random"):
        transformers_images.Settings(model="a/b", weights="weights.pth")
