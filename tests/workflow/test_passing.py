"""What did not come for now is tried again by the same command, and no secret is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from avca_pipeline.artifacts import fetched, manifest
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.datasets import demo
from tests.serving import Request, serving
from tests.workflow.driving import planned, snakemake, tiny

SECRET = "hunter2"
TABLE = "results/mine/fetched/00000-of-00001.csv"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    made = demo.Settings(num_classes=4, sources_per_class=1)
    return demo.locate(made, demo.clips(made)[0], tmp_path_factory.mktemp("film")).read_bytes()


def statuses(folder: Path) -> dict[str, str]:
    return {row.clip_id: row.status for row in fetched.read(folder / TABLE)}


def secret_files(folder: Path) -> list[Path]:
    """Returns the files that tell the secret, but for those that jobs download by."""
    private = {"clips.csv", "config.yaml", "manifest.csv"}
    return [
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.name not in private
        and path.parent.name != "shards"
        and SECRET.encode() in path.read_bytes()
    ]


def test_a_server_that_was_away(film: bytes, tmp_path: Path) -> None:
    """Its clip is rejected for now, and fetched again by the next run, and by no other."""
    away: dict[str, bool] = {"/b.mp4": True}

    def handle(request: Request) -> None:
        path = request.path.partition("?")[0]
        request.answer(b"" if away.get(path) else film, 503 if away.get(path) else 200)

    with serving(handle) as plain:
        base = plain.replace("://", f"://me:{SECRET}@")
        names = ("a", "b")
        clips = [Clip(x, x, f"class {x}", f"{base}/{x}.mp4?sig={SECRET}") for x in names]
        manifest.write(tmp_path / "clips.csv", clips)
        config = tiny(
            datasets={"mine": {"plugin": "table", "path": str(tmp_path / "clips.csv")}},
            download={"attempts": 1, "proxy": None, "runs": 2},
        )
        config["experiment"]["datasets"] = ["mine"]
        done = snakemake(tmp_path, config, TABLE)
        assert done.returncode == 0, done.stderr
        assert statuses(tmp_path) == {"a": "ok", "b": "rejected"}
        assert SECRET not in done.stdout + done.stderr
        away.clear()
        assert planned(tmp_path, None, TABLE) == {"fetch": 1}
        done = snakemake(tmp_path, None, TABLE)
        assert done.returncode == 0, done.stderr
        assert statuses(tmp_path) == {"a": "ok", "b": "ok"}
        assert planned(tmp_path, None, TABLE) == {}
    assert not secret_files(tmp_path)


def test_secrets_of_the_config_are_in_no_log(tmp_path: Path) -> None:
    """Neither in that of a job that fails, whose command Snakemake prints."""
    nobody = f"http://me:{SECRET}@127.0.0.1:9"
    manifest.write(tmp_path / "clips.csv", [Clip("a", "a", "class a", f"{nobody}/a.mp4")])
    backbone = {
        "plugin": "timm_frames", "model": "test_resnet.r160_in1k",
        "weights": f"{nobody}/w.pth?token={SECRET}",
    }  # fmt: skip
    config = tiny(
        datasets={"mine": {"plugin": "table", "path": str(tmp_path / "clips.csv")}},
        backbones={"frames": backbone, "vggish": {}},
        download={"proxy": nobody},
        cache=str(tmp_path / "cache"),
    )
    config["experiment"]["datasets"] = ["mine"]
    (tmp_path / "results/mine").mkdir(parents=True)
    (tmp_path / "results/mine/raw").touch()  # no folder: the job fails
    failed = snakemake(tmp_path, config, TABLE)
    assert failed.returncode == 1
    assert "exec avca fetch" in failed.stderr
    assert "http://127.0.0.1:9#AVCA_ADDRESS_" in failed.stderr
    plan = snakemake(tmp_path, None, "--dry-run", "--printshellcmds", "features")
    assert "exec avca extract" in plan.stdout + plan.stderr
    assert "http://127.0.0.1:9/w.pth#AVCA_ADDRESS_" in plan.stdout + plan.stderr
    assert SECRET not in failed.stdout + failed.stderr + plan.stdout + plan.stderr
    assert not secret_files(tmp_path)
