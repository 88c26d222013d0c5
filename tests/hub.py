"""A stand-in of the Hugging Face Hub: takes a commit, and gives its files back."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from tests.serving import Request

TOKEN = "hf_of_nobody"


class Hub:
    """One repository of datasets or models.

    It takes each file within the commit; the real one asks that large ones be sent elsewhere.

    Attributes:
        kind: ``datasets`` or ``models``.
        name: of the repository; empty until it is made.
        is_private: whether it was asked for as private.
        branches: branch to the files of its last commit.
        commit: SHA-1 of the last commit.
        refuses: whether every upload is refused.
    """

    def __init__(self, kind: str = "datasets") -> None:
        self.kind, self.name, self.is_private = kind, "", False
        self.branches: dict[str, dict[str, bytes]] = {"main": {}}
        self.commit, self.refuses = "0" * 40, False

    def answer(self, request: Request) -> None:
        path = request.path.partition("?")[0]
        if request.command == "GET":
            self._give(request, path)
            return
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if self.refuses or request.headers["Authorization"] != f"Bearer {TOKEN}":
            self._json(request, {"error": "no such user"}, 401)
            return
        url = f"http://{request.headers['Host']}/{self.kind}"
        api = f"/api/{self.kind}/{self.name}"
        if path == "/api/repos/create":
            asked = json.loads(body)
            self.name = f"{asked['organization']}/{asked['name']}"
            self.is_private = asked.get("visibility") == "private" or asked.get("private", False)
            self._json(request, {"url": f"{url}/{self.name}"})
        elif path == "/api/validate-yaml":
            self._json(request, {"errors": [], "warnings": []})
        elif path.startswith(f"{api}/branch/"):
            self.branches[path.rpartition("/")[2]] = {}
            self._json(request, {})
        elif path.startswith(f"{api}/preupload/"):
            files = json.loads(body)["files"]
            self._json(
                request,
                {"files": [
                    {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for file in files
                ]},
            )  # fmt: skip
        elif path.startswith(f"{api}/commit/"):
            self._take(path.rpartition("/")[2], body)
            url += f"/{self.name}/commit/{self.commit}"
            self._json(request, {"commitUrl": url, "commitOid": self.commit, "success": True})
        else:
            self._json(request, {"error": f"what is {path}?"}, 404)

    def _take(self, branch: str, body: bytes) -> None:
        for line in body.splitlines():
            part = json.loads(line)
            if part["key"] == "file":
                content = base64.b64decode(part["value"]["content"])
                self.branches[branch][part["value"]["path"]] = content
        self.commit = hashlib.sha1(body).hexdigest()

    def _give(self, request: Request, path: str) -> None:
        files = next(filter(None, reversed(self.branches.values())), {})
        if path == f"/api/{self.kind}/{self.name}/revision/{self.commit}":
            siblings = [
                {"rfilename": name, "lfs": {"sha256": hashlib.sha256(content).hexdigest()}}
                for name, content in files.items()
            ]
            self._json(request, {"sha": self.commit, "siblings": siblings})
            return
        name = path.removeprefix(f"/{self.kind}/{self.name}/resolve/{self.commit}/")
        if name in files:
            request.answer(files[name])
        else:
            self._json(request, {"error": "not found"}, 404)

    @staticmethod
    def _json(request: Request, value: Any, status: int = 200) -> None:
        request.answer(json.dumps(value).encode(), status, Content_Type="application/json")
