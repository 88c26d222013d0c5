"""Looks at media files in a process of its own, which a damaged file may crash or hold up.

The process is asked for one file after the other, in lines of JSON. If it dies, the file is tried
again in a new one, and then it is the file's fault. The limit for a file counts CPU time, which
neither a slow disk nor a stopped process uses.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import avca_pipeline
from avca_pipeline.errors import PipelineError, TransientError
from avca_pipeline.media import MediaError
from avca_pipeline.media.container import Probe, probe

ATTEMPTS = 2
CPU_LIMIT_S = 60
MEMORY_LIMIT_BYTES = 16 << 30
SILENCE_S = 600.0
TICK_S = 1.0

COMMAND = (sys.executable, "-m", "avca_pipeline.media.probing")
# Signals by which the system or a user ends a process, most of all for lack of memory.
FROM_OUTSIDE = frozenset((signal.SIGKILL, signal.SIGTERM, signal.SIGHUP))


class Prober:
    """Asks a process of its own what files hold; to be used by one thread.

    Args:
        command: starts the process; its arguments are the limits.
        cpu_limit_s: of one file.
        silence_s: after which a process that does nothing is given up: what it reads is away.
    """

    def __init__(
        self,
        command: Sequence[str] | None = None,
        cpu_limit_s: int = CPU_LIMIT_S,
        silence_s: float = SILENCE_S,
    ) -> None:
        self.command, self.silence_s = (*(command or COMMAND), str(cpu_limit_s)), silence_s
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Prober:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def probe(self, path: Path) -> Probe:
        """Returns what a media file holds.

        Raises:
            MediaError: it holds nothing usable, or takes the process with it.
            TransientError: its disk does not answer, or the process was ended from outside.
            PipelineError: the process cannot be started.
        """
        cause = ""
        for _ in range(ATTEMPTS):
            line = self._ask(path)
            if line.endswith("\n"):
                return _probe_in(json.loads(line))
            code = self._end()
            if -code in FROM_OUTSIDE:
                raise TransientError(
                    f"cannot be read: the process that opened it was ended by signal {-code}"
                )
            cause = f"signal {-code}" if code < 0 else f"exit code {code}"
            if -code == signal.SIGXCPU:
                raise MediaError(f"decoder died: opening took over {self.command[-1]} s")
        raise MediaError(f"decoder died: {cause}")

    def _ask(self, path: Path) -> str:
        """Returns the line that is answered, cut off if the process dies."""
        process = self.process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(os.fspath(path)) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return ""
        if not self._answers_in_time(process):
            self._end()
            raise TransientError(f"cannot be read: no answer for {self.silence_s:g} s")
        return process.stdout.readline()

    def _start(self) -> subprocess.Popen[str]:
        # The same package as here, wherever it was imported from.
        paths = [str(Path(avca_pipeline.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
        self.process = process
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise PipelineError(
                f"the process that opens media cannot start (exit code {self._end()}); "
                "is there enough memory?"
            )
        return process

    def _answers_in_time(self, process: subprocess.Popen[str]) -> bool:
        """Returns whether an answer comes in time, which stands still while all is stopped."""
        waited_s = 0.0
        assert process.stdout is not None
        while not select.select([process.stdout], [], [], TICK_S)[0]:
            # One tick for each round: what comes on top, this process itself was stopped.
            waited_s += 0.0 if state_of(process.pid) in ("T", "t") else TICK_S
            if waited_s > self.silence_s:
                return False
        return True

    def _end(self) -> int:
        """Ends the process and returns its exit code, which is its own if it has ended before."""
        process, self.process = self.process, None
        if process is None:
            return 0
        assert process.stdin is not None
        assert process.stdout is not None
        # The end of its output comes a moment before its own.
        if not _at_end(process.stdout):
            process.kill()
        # Not even this ends a process that waits for a disk which is away.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        return -signal.SIGKILL if process.returncode is None else process.returncode


def _at_end(stream: Any) -> bool:
    return bool(select.select([stream], [], [], 0)[0]) and not stream.read(1)


def state_of(process: int) -> str:
    """Returns the letter by which the system calls the state of a process; empty if unknown."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2]
    except OSError:
        return ""
    return fields.split()[0] if fields.split() else ""


def _probe_in(answer: dict[str, Any]) -> Probe:
    if "error" in answer:
        raise PipelineError(answer["error"])
    if "reason" in answer:
        raise MediaError(answer["reason"])
    return Probe(**answer["probe"])


def main(cpu_limit_s: int) -> None:
    """Answers requests until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asks decides when to stop
    # What libraries print goes to the log.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit(resource.RLIMIT_AS, MEMORY_LIMIT_BYTES)
    import av  # noqa: F401 - before the first file's time begins

    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        _limit(resource.RLIMIT_CPU, int(time.process_time()) + 1 + cpu_limit_s)
        print(json.dumps(_answer(Path(json.loads(line)))), file=answers, flush=True)


def _answer(path: Path) -> dict[str, Any]:
    try:
        return {"probe": dataclasses.asdict(probe(path))}
    except MediaError as error:
        return {"reason": str(error)}
    except PipelineError as error:
        return {"error": str(error)}
    except Exception as error:  # A file that surprises the demuxer is one rejected clip.
        traceback.print_exc()
        return {"reason": f"not a media file: {type(error).__name__}: {error}".splitlines()[0]}


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (most, hard))


if __name__ == "__main__":
    main(int(sys.argv[1]))
