"""Files from web addresses, whole or not at all."""

from __future__ import annotations

import http.client
import math
import time
import urllib.error
import urllib.request
from pathlib import Path

from avca_pipeline.errors import PipelineError
from avca_pipeline.progress import Progress

CHUNK_BYTES = 1 << 20
ATTEMPTS = 4
TIMEOUT_S = 30


def download(url: str, path: Path) -> None:
    """Downloads a file, resuming where an earlier attempt broke off.

    Raises:
        PipelineError: the address answers with an error, or breaks off on every attempt.
    """
    partial = path.with_name(path.name + ".part")
    problem = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(2**attempt / 2)
        try:
            if _download_rest(url, partial):
                partial.replace(path)
                return
            problem = "the connection broke off"
        except urllib.error.HTTPError as error:
            problem = f"HTTP {error.code}"
            if error.code == 416:  # what is here is not the beginning of what is there
                partial.unlink(missing_ok=True)
            elif error.code < 500 and error.code != 429:
                break
        except (OSError, http.client.HTTPException) as error:
            problem = str(getattr(error, "reason", error))
    raise PipelineError(
        f"{url}: download failed ({problem}); run again to resume, or give a local file"
    )


def _download_rest(url: str, partial: Path) -> bool:
    """Appends what is missing; returns whether the file is complete."""
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        resumed = response.status == 206
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise OSError("the server sent another part than the one asked for")
        length = response.headers.get("Content-Length", "")
        expected = int(length) + (have if resumed else 0) if length.isdigit() else None
        size = have if resumed else 0
        total = max(1, math.ceil((expected or 0) / CHUNK_BYTES))
        with (
            open(partial, "ab" if resumed else "wb") as file,
            Progress(url, total, "MiB") as progress,
        ):
            while chunk := response.read(CHUNK_BYTES):
                file.write(chunk)
                size += len(chunk)
                progress.advance()
        return expected is None or size == expected
