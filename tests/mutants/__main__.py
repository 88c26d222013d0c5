"""Plants small changes in modules one at a time and lists those that no test notices.

``make mutants`` runs it; ``make mutants MODULE=accuracy`` for one entry of ``modules.toml``. mutmut
makes the changes and runs the tests; here stand which tests belong to which module, which share of
a large module is tried, and which survivors are known to be equivalent to the original.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / ".mutants"
NOTICED = {1: "killed", 3: "killed", 36: "timeout", 24: "timeout", -24: "timeout", 255: "timeout"}
COPIED = ("config", "config.yaml", "envs", "tests", "workflow", "Makefile", "README.md")
WANTED = 0.95


@dataclass(frozen=True)
class Mutant:
    """One change of one function: the lines as they are, and as they become."""

    file: str
    function: str
    line: str
    mutated: str


def main(arguments: list[str] | None = None) -> int:
    """Runs the modules asked for; returns 1 if one of them misses the wanted share."""
    table = tomllib.loads((Path(__file__).parent / "modules.toml").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", nargs="*", help=f"of {', '.join(table)}; all by default")
    parser.add_argument("--seed", type=int, default=None, help="of the samples; drawn by default")
    parser.add_argument("--sample", type=int, help="mutants of each module; 0 for all of them")
    parser.add_argument("--processes", type=int, default=2, help="mutants at a time (default: 2)")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.module) - set(table))
    if unknown:
        parser.error(f"no module {unknown[0]!r} in tests/mutants/modules.toml: {', '.join(table)}")
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    equivalent = read_equivalent()
    shares, before_s = {}, 0.0
    for name in options.module or table:
        sample = table[name].get("sample") if options.sample is None else options.sample
        started = time.monotonic()
        shares[name] = run(name, table[name], equivalent, sample, seed, options.processes)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s, before_s = used.ru_utime + used.ru_stime - before_s, used.ru_utime + used.ru_stime
        print(f"    {time.monotonic() - started:.0f} s, {cpu_s:.0f} s of CPU", flush=True)
    missed = [name for name, share in shares.items() if share < WANTED]
    if missed:
        print(f"below {WANTED:.0%} killed or equivalent: {', '.join(missed)}")
    return int(bool(missed))


def read_equivalent() -> set[Mutant]:
    """Returns the mutants that behave as the original does; each entry must say why."""
    text = (Path(__file__).parent / "equivalent.toml").read_text(encoding="utf-8")
    entries = tomllib.loads(text)["mutant"]
    for entry in entries:
        assert entry["reason"].strip(), f"{entry} says no reason"
    return {Mutant(e["file"], e["function"], e["line"], e["mutated"]) for e in entries}


def run(
    name: str,
    entry: dict[str, Any],
    equivalent: set[Mutant],
    sample: int | None,
    seed: int,
    processes: int,
) -> float:
    """Tries the mutants of one entry, prints the survivors, and returns the share noticed."""
    folder = prepare(name, entry)
    files = [f"avca_pipeline/{file}" for file in entry["files"]]
    chosen: list[str] = []
    if sample or "functions" in entry:
        chosen = sorted(key for file in files for key in mutant_names(folder, file))
        if "functions" in entry:
            chosen = [key for key in chosen if function_of(key) in entry["functions"]]
        if sample and sample < len(chosen):
            print(f"{name}: {sample} of {len(chosen)} mutants, seed {seed}", flush=True)
            chosen = random.Random(seed).sample(chosen, sample)
    log = folder / "mutmut.log"
    mutmut = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children"]
    with open(log, "w", encoding="utf-8") as output:
        done = subprocess.run(
            [*mutmut, str(processes), *chosen],
            cwd=folder, stdout=output, stderr=subprocess.STDOUT, check=False,
            env={**os.environ, "AVCA_SHARED": shared(), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    if done.returncode != 0:
        print("\n".join(log.read_text(encoding="utf-8").splitlines()[-40:]))
        sys.exit(f"{name}: mutmut stopped with exit code {done.returncode}; all it said: {log}")
    codes = exit_codes(folder, files, chosen)
    survivors = {key: code for key, code in codes.items() if code not in NOTICED}
    described = {key: describe(folder, key, file_of(key, files)) for key in survivors}
    # Tests look for a part of a message; its other words may change.
    worded = [key for key, mutant in described.items() if is_wording(mutant)]
    known = [key for key, mutant in described.items() if mutant in equivalent]
    unknown = [key for key in described if key not in known and key not in worded]
    share = 1 - len(unknown) / max(1, len(codes))
    how = Counter(NOTICED.get(code, "survived") for code in codes.values())
    print(
        f"{name}: {len(codes)} mutants, {how['killed']} killed, {how['timeout']} timed out,"
        f" {len(known)} equivalent, {len(worded)} in the words of an error,"
        f" {len(unknown)} survived: {share:.1%}"
    )
    for key in unknown:
        report(described[key], survivors[key])
    return share


def shared() -> str:
    return os.environ.get("AVCA_SHARED", str(REPOSITORY.parent / "shared"))


def prepare(name: str, entry: dict[str, Any]) -> Path:
    """Makes a folder of copies in which mutmut works; returns it."""
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ignored = shutil.ignore_patterns("__pycache__")
    for part in ("avca_pipeline", *COPIED):
        source = REPOSITORY / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=ignored)
        else:
            shutil.copy2(source, folder / part)
    wanted = {
        "source_paths": ["avca_pipeline"],
        "only_mutate": [f"avca_pipeline/{file}" for file in entry["files"]],
        "also_copy": list(COPIED),
        "pytest_add_cli_args_test_selection": existing(entry["tests"]),
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "--timeout=0"],
        # Each mutant starts from a process that has imported the tests and run none: what the
        # original code has computed before cannot be compared with what the mutant computes.
        "process_isolation": "forkserver",
        # Five times what the tests need and 25 s more: a busy machine is no endless loop.
        "timeout_constant": 5.0,
        "timeout_multiplier": 5.0,
        "use_git_change_detection": False,
    }
    settings = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    # JSON of strings, numbers and lists is TOML.
    lines = [f"{key} = {json.dumps(value)}" for key, value in wanted.items()]
    text = "\n".join([settings, "[tool.mutmut]", *lines, ""])
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


def existing(tests: Iterable[str]) -> list[str]:
    """Returns the test files of an entry; one that is gone is a mistake in the table."""
    for test in tests:
        if not (REPOSITORY / test.partition("::")[0]).exists():
            sys.exit(f"tests/mutants/modules.toml names {test}, which does not exist")
    return list(tests)


def mutant_names(folder: Path, file: str) -> list[str]:
    """Returns the names that mutmut will give the mutants of a file."""
    code = (
        "import sys; from pathlib import Path\n"
        "from mutmut.mutation.file_mutation import mutate_file_contents as mutate\n"
        "from mutmut.utils.format_utils import get_mutant_name as name\n"
        "path = Path(sys.argv[1])\n"
        "print(*(name(path, each) for each in mutate(str(path), path.read_text()).mutant_names))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, file], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def exit_codes(folder: Path, files: list[str], chosen: list[str]) -> dict[str, int | None]:
    """Returns what the tests of each mutant ended with."""
    codes: dict[str, int | None] = {}
    for file in files:
        meta = (folder / "mutants" / f"{file}.meta").read_text(encoding="utf-8")
        codes.update(json.loads(meta)["exit_code_by_key"])
    return {key: codes[key] for key in chosen or codes}


def file_of(key: str, files: list[str]) -> str:
    """Returns the file of a mutant."""
    module = key.rpartition(".")[0].replace(".", "/")
    return next(file for file in files if file in (f"{module}.py", f"{module}/__init__.py"))


def describe(folder: Path, key: str, file: str) -> Mutant:
    """Returns a mutant by what it changes: numbers of mutants move with every edit."""
    mangled = key.rpartition(".")[2]
    texts = functions(folder / "mutants" / file)
    name, function = mangled.rpartition("__mutmut_")[0], function_of(key)
    before, after = (
        texts[each].replace(each, function.rpartition(".")[2], 1).splitlines()
        for each in (f"{name}__mutmut_orig", mangled)
    )
    old = [line.strip() for line in before if line not in after]
    new = [line.strip() for line in after if line not in before]
    return Mutant(file, function, " ".join(old), " ".join(new))


def function_of(key: str) -> str:
    """Returns the name of the function or method of a mutant."""
    name = key.rpartition(".")[2].rpartition("__mutmut_")[0]
    return name.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")


def is_wording(mutant: Mutant) -> bool:
    """Says whether a mutant raises the same error with another text."""
    both = [re.sub(r"\(.*", "", line) for line in (mutant.line, mutant.mutated)]
    return both[0].startswith("raise ") and both[0] == both[1] and "(None)" not in mutant.mutated


def functions(path: Path) -> dict[str, str]:
    """Returns the text of every function and method of a file, as Python itself writes it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name: ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
    }


def report(mutant: Mutant, code: int | None) -> None:
    """Prints a survivor."""
    why = "no test reaches it" if code in (5, 33) else "survived"
    print(f"  {mutant.file} {mutant.function} ({why})")
    print(f"    - {mutant.line}\n    + {mutant.mutated}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
