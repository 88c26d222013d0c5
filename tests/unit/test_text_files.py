"""Whatever is wrong with a table or a JSON of a user is one line that says what."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from avca_pipeline.artifacts import fetched, text_files
from avca_pipeline.datasets import activitynet, table, vggsound
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.published import lists

HEADER = "clip_id,source_id,class_name,path_or_url,start_s,end_s"
ROW = "a,s,k,v.mp4,,"

TABLES = {
    "column twice": (f"{HEADER},class_name\n{ROW},x\n", "column 'class_name' is given twice"),
    "other column twice": (f"{HEADER},note,note\n{ROW},x,y\n", "column 'note' is given twice"),
    "semicolons": (
        f"{HEADER}\n{ROW}\n".replace(",", ";"),
        "column 'clip_id' is missing; the header must have clip_id, source_id, class_name, "
        "path_or_url, start_s, end_s; the cells are separated by semicolons, use commas",
    ),
    "tabs": (f"{HEADER}\n{ROW}\n".replace(",", "\t"), "separated by tabs, use commas"),
    "bars": (f"{HEADER}\n{ROW}\n".replace(",", "|"), "separated by bars, use commas"),
    "semicolons in quotes": (
        ";".join(f'"{name}"' for name in HEADER.split(",")) + "\n",
        "separated by semicolons, use commas",
    ),
    "column missing": (f"{HEADER[8:]}\n{ROW[2:]}\n", "column 'clip_id' is missing"),
    "cell missing": (f"{HEADER}\n{ROW[:-1]}\n", "line 2 does not have the header's 6 cells"),
    "cell too many": (f"{HEADER}\n{ROW},\n", "line 2 does not have the header's 6 cells"),
    "open quote": (f'{HEADER}\n"{ROW}\n', "cannot be read as UTF-8 CSV"),
    "long cell": (f"{HEADER}\n{'x' * 200_000}{ROW}\n", "cannot be read as UTF-8 CSV"),
    "no line": ("", "column 'clip_id' is missing"),
    "no row": (f"{HEADER}\n", "has a header but no clip"),
    "no clip_id": (f"{HEADER}\n{ROW[1:]}\n", "has no clip_id"),
    "time": (f"{HEADER}\na,s,k,v.mp4,1:30,\n", "line 2: start_s is '1:30'"),
    "negative time": (f"{HEADER}\na,s,k,v.mp4,-1,\n", "line 2: start_s is '-1'"),
    "endless time": (f"{HEADER}\na,s,k,v.mp4,,inf\n", "line 2: end_s is 'inf'"),
    "Latin-1": (f"{HEADER}\n{ROW}\n".replace("k", "\u00e9").encode("latin-1"), "UTF-8 CSV"),
    "UTF-16": (f"{HEADER}\n{ROW}\n".encode("utf-16"), "cannot be read as UTF-8 CSV"),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_malformed_table_is_one_line(tmp_path: Path, case: str) -> None:
    content, message = TABLES[case]
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(PipelineError) as caught:
        list(table.clips(table.Settings(path=path)))
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_unnamed_columns_are_nobodys(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"\ufeff{HEADER},,\r\n{ROW},1,2\r\n")
    (clip,) = table.clips(table.Settings(path=tmp_path / "t.csv"))
    assert clip.class_name == "k"


@pytest.mark.parametrize("header", ["original,manual,original", "original;manual", "manual"])
def test_a_malformed_table_of_names_is_one_line(tmp_path: Path, header: str) -> None:
    (tmp_path / "n.csv").write_text(f"{header}\na,b,c\n")
    with pytest.raises(FormatError, match=r"n\.csv: .*original"):
        lists.read_names(tmp_path / "n.csv")


@pytest.mark.parametrize(
    "row",
    [
        "a,b", "ab,1,x,test,y", "a b,1,x,test", f"{'a' * 65},1,x,test", "ab,-1,x,test",
        "ab,1.5,x,test", f"ab,{'9' * 5000},x,test", "ab,\u0661,x,test", "ab,,x,test", "\0,1,x,test",
    ],
    ids=lambda row: ascii(row[:20]),
)  # fmt: skip
def test_a_malformed_row_of_vggsound_is_one_line(tmp_path: Path, row: str) -> None:
    path = tmp_path / "v.csv"
    path.write_text(f"cd,2,piano,train\n{row}\n")
    with pytest.raises(FormatError, match=r"v\.csv: line 2: expected a YouTube id") as caught:
        vggsound.clips(vggsound.Settings(csv=path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


SEGMENT = {"label": "a", "segment": [0.0, 1.0]}
ANNOTATIONS: dict[str, tuple[Any, str]] = {
    "key twice": ('{"database": {"v": {}, "v": {}}}', "key 'v' is given twice"),
    "deep lists": ("[" * 100_000, "nested too deeply"),
    "deep objects": ('{"a":' * 100_000, "nested too deeply"),
    "deep annotation": ('{"database": {"v": {"annotations": ' + "[" * 50_000, "nested too deeply"),
    "endless number": ('{"database": ' + "9" * 10_000 + "}", "cannot be read as JSON"),
    "no object": ("[]", "cannot be read as annotations"),
    "no database": ("{}", "cannot be read as annotations"),
    "list of videos": ('{"database": []}', "cannot be read as annotations"),
    "no video": ('{"database": {"v": 1}}', "cannot be read as annotations"),
    "nothing": ("", "cannot be read as JSON"),
    "NUL": ('{"database": \0}', "cannot be read as JSON"),
    "UTF-16": ('{"database": {}}'.encode("utf-16"), "cannot be read as JSON"),
    "endless segment": (
        {"database": {"v": {"annotations": [SEGMENT | {"segment": [0, 10**400]}]}}},
        "cannot be read as annotations",
    ),
    "segment that is none": (
        '{"database": {"v": {"annotations": [{"label": "a", "segment": [0, NaN]}]}}}',
        "needs a label and a segment",
    ),
    "label that is none": (
        {"database": {"v": {"annotations": [SEGMENT | {"label": ["a"]}]}}},
        "needs a label and a segment",
    ),
    "segment of three": (
        {"database": {"v": {"annotations": [SEGMENT | {"segment": [0, 1, 2]}]}}},
        "cannot be read as annotations",
    ),
}


@pytest.mark.parametrize("case", ANNOTATIONS)
def test_malformed_annotations_are_one_line(tmp_path: Path, case: str) -> None:
    content, message = ANNOTATIONS[case]
    path = tmp_path / "a.json"
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PipelineError) as caught:
        activitynet.clips(activitynet.Settings(annotations=path, media=()))
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("module", "key"), [(table, "path"), (vggsound, "csv"), (activitynet, "annotations")]
)
def test_what_is_no_file_is_one_line(tmp_path: Path, module: ModuleType, key: str) -> None:
    more = {"media": ()} if module is activitynet else {}
    for path in (tmp_path, tmp_path / "no", tmp_path / "no/no"):
        settings = module.Settings(**{key: path}, **more)
        for function in (module.clips, module.inputs):
            with pytest.raises(PipelineError) as caught:
                list(function(settings))
            assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("column", ["duration_s", "fps", "width", "height", "sample_rate_hz"])
def test_a_number_that_is_none_in_a_table_of_ours_is_one_line(tmp_path: Path, column: str) -> None:
    path = tmp_path / "f.csv"
    fetched.write(path, [fetched.FetchedClip("a", "ok", path="v.mp4")])
    header, row = path.read_text().splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=True)) | {column: "many"}
    path.write_text(f"{header}\n{','.join(cells.values())}\n")
    with pytest.raises(FormatError, match=rf"f\.csv: clip 'a': {column} is 'many'"):
        fetched.read(path)


def test_a_table_of_ours_says_its_version(tmp_path: Path) -> None:
    for text, message in (('{"format_version": 2}', "format version 2"), ("[1]", "version None")):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(FormatError, match=rf"x\.json: .*{message}"):
            text_files.read_json(tmp_path / "x.json", 1)
    with pytest.raises(FormatError, match=r"no\.json: no such file"):
        text_files.read_json(tmp_path / "no.json", 1)
