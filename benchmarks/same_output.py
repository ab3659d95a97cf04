"""Proves that a change of the code changes no picture: the old tree and this one, side by side, to the bit.

    python benchmarks/same_output.py OLD_COMMIT [--only PATTERN] [--keep DIR]

OLD_COMMIT is checked out next to this tree for the time of the run. Every case of `same_cases.py` (commands and calls from Python, all
tasks, formats and weights, a short training of every method) runs with each tree in a process of its own, on the same inputs, on the
CPU, in one thread (or OMP_NUM_THREADS). It takes about three minutes a tree on one core. What is not committed counts as new. Output
files and arrays are compared: pictures to the byte, weights by their tensors, DICOM files by their elements (see `same_compare.IGNORED`).

A line a case says "same", "DIFFERENT", with what, or "BROKEN" for a case that does not end as it should in either tree, which proves
nothing. The exit code is 1 if a case is different or broken. What a change may differ in, with its reason, is a row of
`same_cases.EXCEPTIONS`; names that a change gives anew are rows of `same_cases.RENAMED`, calls are rows of `same_calls.OLD_CALLS`.

--only runs the cases whose names contain PATTERN (*, ? and [] as in file names). --keep leaves inputs and outputs in DIR/inputs, DIR/old
and DIR/new, each case with its standard output and error.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import same_inputs
from same_cases import CASES, EXCEPTIONS, Case, spelled
from same_compare import differences, files, numbers

HERE = Path(__file__).resolve().parent
LIMIT = 3600.0
"""Seconds for all cases of a tree."""


@dataclass(frozen=True)
class Tree:
    """One of the two trees, and what its cases left.

    Attributes:
        shim: the folder that makes its packages importable.
        folder: of its cases' outputs.
        old: whether it is the old one.
    """

    shim: Path
    folder: Path
    old: bool

    def of(self, case: Case) -> Path:
        """The folder of a case."""
        return self.folder / re.sub(r"[^\w.-]+", "-", case.name).strip("-")


def main() -> None:
    """Run the cases with both trees, print a line for each, and end with 1 on a difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", metavar="OLD_COMMIT")
    parser.add_argument("--only", metavar="PATTERN", default="*")
    parser.add_argument("--keep", metavar="DIR", type=Path)
    options = parser.parse_args()
    cases = [case for case in CASES if fnmatch.fnmatch(case.name, f"*{options.only}*")]
    if not cases:
        parser.error(f"no case is called like {options.only}")
    if options.keep and options.keep.exists():
        parser.error(f"{options.keep} exists already")
    with _work_folder(options.keep) as work, _checkout(options.commit, work / "checkout") as checkout:
        same_inputs.make(work / "inputs", HERE.parent / "data")
        trees = [
            Tree(shim(root, work / f"shim-{name}"), work / name, name == "old") for name, root in (("old", checkout), ("new", HERE.parent))
        ]
        ends = [_ends(tree, cases, work / "inputs") for tree in trees]
        sys.exit(_judged(cases, trees, ends))


@contextmanager
def _work_folder(keep: Path | None) -> Iterator[Path]:
    if keep:
        keep.mkdir(parents=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder).resolve()


@contextmanager
def _checkout(commit: str, folder: Path) -> Iterator[Path]:
    """A commit in a working tree of its own, for a while."""
    git = ["git", "-C", str(HERE.parent), "worktree"]
    if subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=False).returncode:
        raise SystemExit(f"cannot check out {commit}; see above")
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def shim(root: Path, folder: Path) -> Path:
    """Make a folder of links from which the packages of a checkout are imported as they are called when installed.

    The names and folders are those of `package-dir` in its pyproject.toml; shim.json lists them, and names the command's function.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text())
    places: Mapping[str, str] = project["tool"]["setuptools"]["package-dir"]
    folder.mkdir()
    for name in sorted(places, key=lambda name: name.count(".")):
        place, source = folder.joinpath(*name.split(".")), root / places[name]
        if not any(other.startswith(f"{name}.") for other in places):
            place.symlink_to(source)
            continue
        place.mkdir()
        for path in source.iterdir():
            if path.name != "__pycache__":
                (place / path.name).symlink_to(path)
    (folder / "shim.json").write_text(json.dumps({"packages": list(places), "command": project["project"]["scripts"]["restore"]}))
    return folder


def _ends(tree: Tree, cases: Sequence[Case], inputs: Path) -> dict[str, dict[str, Any]]:
    """Run cases with a tree; how each ended, by its name. One that takes its process along costs itself alone."""
    tree.folder.mkdir()
    since = time.perf_counter()
    jobs = [_job(tree, case, inputs) for case in cases]
    ended: dict[str, dict[str, Any]] = {}
    while left := [job for job in jobs if job["name"] not in ended]:
        before = len(ended)
        code = _worker(tree, left)
        results = tree.folder / "results.jsonl"
        lines = results.read_text().splitlines() if results.exists() else []
        ended |= {line["name"]: line for line in map(json.loads, lines)}
        if not lines and before == 0:
            raise SystemExit(f"the {'old' if tree.old else 'new'} tree does not run (exit code {code}); see above")
        if code:
            lost = next(job for job in jobs if job["name"] not in ended)
            ended[lost["name"]] = {"codes": [f"process ended with {code}"]}
    print(f"{'old' if tree.old else 'new'} tree: {len(cases)} cases in {time.perf_counter() - since:.0f} s", flush=True)
    return ended


def _job(tree: Tree, case: Case, inputs: Path) -> dict[str, Any]:
    def placed(word: str) -> str:
        return word.replace("{in}", str(inputs)).replace("{here}", str(tree.of(case)))

    return {
        "name": case.name, "folder": str(tree.of(case)), "call": case.call, "old": tree.old, "inputs": str(inputs),
        "commands": [[placed(word) for word in words] for words in case.arguments(old=tree.old)],
        "texts": {name: spelled(text, old=tree.old) for name, text in case.texts.items()},
    }  # fmt: skip


def _worker(tree: Tree, jobs: Sequence[Mapping[str, Any]]) -> int:
    """Run jobs in one process; its exit code."""
    path = tree.folder / "jobs.json"
    path.write_text(json.dumps(jobs))
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": str(tree.shim), "CUDA_VISIBLE_DEVICES": ""}
    command = [
        sys.executable,
        str(HERE / "same_worker.py"),
        str(path),
        str(tree.folder / "results.jsonl"),
        str(tree.shim),
    ]
    try:
        return subprocess.run(command, env=environment, cwd=tree.folder, timeout=LIMIT, check=False).returncode
    except subprocess.TimeoutExpired:
        return 124


def _judged(cases: Sequence[Case], trees: Sequence[Tree], ends: Sequence[Mapping[str, Mapping[str, Any]]]) -> int:
    """Print the lines and the summary; the exit code."""
    counts = dict.fromkeys(("same", "excepted", "DIFFERENT", "BROKEN"), 0)
    for case in cases:
        found = _compared(case, *trees)
        codes = [end[case.name]["codes"] for end in ends]
        word, more = "same", f"{len(files(trees[1].of(case), case.compared))} files"
        if codes[0] != codes[1]:
            error = " ".join(_last_error(tree, case) for tree, code in zip(trees, codes, strict=True) if any(code))
            found["exit codes"] = f"{codes[0]} became {codes[1]}: {error}"
        reasons = [EXCEPTIONS.get(case.name) or EXCEPTIONS.get(f"{case.name}: {name}") for name in found]
        if found:
            word = "excepted" if all(reasons) else "DIFFERENT"
            more = "; ".join(f"{name}: {said}" for name, said in list(found.items())[:8])
            more = f"{more} ({'; '.join(dict.fromkeys(filter(None, reasons)))})" if all(reasons) else more
        elif problem := _broken(case, codes[1], trees[1]):
            word, more = "BROKEN", problem
        counts[word] += 1
        print(f"{word:9}  {case.name}: {more}", flush=True)
    print(", ".join(f"{count} {word}" for word, count in counts.items()))
    return int(bool(counts["DIFFERENT"] or counts["BROKEN"]))


def _broken(case: Case, codes: Sequence[int | str], tree: Tree) -> str:
    """Why a case whose two ends are alike proves nothing, or ""."""
    expected = [0] * (len(case.commands) - 1) + [case.code] * bool(case.commands)
    if list(codes) != expected:
        return f"exit codes {codes} instead of {expected} in both trees: {_last_error(tree, case)}"
    count = len(files(tree.of(case), case.compared))
    return f"{count} files instead of {case.files} or more" if count < case.files else ""


def _last_error(tree: Tree, case: Case) -> str:
    """The last line that a case wrote to standard error."""
    path = tree.of(case) / "stderr.txt"
    lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
    return lines[-1] if lines else ""


def _compared(case: Case, old: Tree, new: Tree) -> dict[str, str]:
    """What differs, by file."""
    first, second = (files(tree.of(case), case.compared) for tree in (old, new))
    found = dict.fromkeys(first.keys() - second.keys(), "is missing") | dict.fromkeys(second.keys() - first.keys(), "is new")
    for name in sorted(first.keys() & second.keys()):
        if said := differences(first[name], second[name]):
            found[name] = said
    if case.stdout:
        texts = [numbers(tree.of(case) / "stdout.txt") for tree in (old, new)]
        if texts[0] != texts[1] or not texts[0]:
            found["standard output"] = "the numbers differ" if texts[0] else "there are no numbers"
    return found


if __name__ == "__main__":
    main()
