"""Writes the network of weights as a file of another format, whole or not at all, after a check against torch."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from restore import networks, weights
from restore.exporting.checking import check
from restore.exporting.facts import facts_of
from restore.exporting.formats import FORMATS, ExportFormat
from restore.exporting.graphs import Graph, generating, judging, restoring
from restore.limits import check_local, nearest
from restore.networks import generators
from restore.weights import Entry
from restore.writing import replace_durably, with_path

ERRORS = "errors"


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file, or the one of its files that names them.
        difference: the largest difference from torch in the check, as a fraction of the output's range.
        graph: what was exported.
    """

    path: Path
    difference: float
    graph: Graph


def export(
    name: str | Path, to: str = "onnx", out: str | Path | None = None, *, part: str | None = None, overwrite: bool = False
) -> Exported:
    """Write the network of weights as a file of another format.

    Args:
        name: weights by name, file or run folder.
        to: a key of FORMATS.
        out: the file; by default the weights' name with the format's suffix, in the working directory.
        part: which network of weights that hold several: `forward` or `backward`, or the weights whose results are judged; the first by
            default.
        overwrite: whether an existing file is replaced.

    Raises:
        ValueError: the weights, the part or the format do not exist, a package is missing, the file exists or has another suffix, the
            network cannot be exported, or the exported one differs from torch. Nothing was written.
        OSError: the file cannot be written.
    """
    kind = format_of(to)
    check_local(f"--out {out}", out)
    entry = weights.find(name)
    parts = entry.recipe.get("directions") or []
    if part is not None and not parts:
        raise ValueError(f"{entry.name} holds one network, not several: leave the part {part!r} out")
    part = part or (parts[0] if parts else None)
    path = _path(kind, Path(out) if out is not None else Path(f"{entry.name}{f'-{part}' if parts else ''}{kind.suffixes[-1]}"), overwrite)
    return write(graph_of(entry, part), kind, path)


def format_of(name: str) -> ExportFormat:
    """The format called `name`.

    Raises:
        ValueError: there is none, or a package that it needs is missing.
    """
    if name not in FORMATS:
        raise ValueError(f"unknown export format {name!r}: use one of {', '.join(FORMATS)}{nearest(name, FORMATS)}")
    if missing := next((package.missing for package in FORMATS[name].needs if package.missing), ""):
        raise ValueError(f"the export to {name} needs a package: {missing}")
    return FORMATS[name]


def graph_of(entry: Entry, part: str | None = None) -> Graph:
    """The graph of weights; see `export`.

    Raises:
        ValueError: the weights are damaged, or have no such part.
    """
    tensors, recipe = weights.load(entry.path)
    facts = facts_of(entry, part)
    try:
        if recipe["task"] == "generate":
            return generating(generators.load(recipe["network"], recipe["settings"], tensors).float().eval().requires_grad_(False), facts)
        network = networks.load(recipe["network"], recipe["settings"], weights.select_network(tensors, recipe, part))
    except ValueError as error:
        raise ValueError(f"{entry.name}: {error}") from error
    network = network.float().eval().requires_grad_(False)
    if network.spec.output == ERRORS:
        return judging(network, facts)
    return restoring(network, facts)


def write(graph: Graph, kind: ExportFormat, path: Path) -> Exported:
    """Write a graph, whole or not at all.

    Raises:
        ValueError: the graph cannot be exported, or the exported one differs from torch. Nothing was written.
        OSError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent) as folder:
            draft = Path(folder) / path.name
            kind.write(graph, draft)
            difference = check(graph, kind.runner(draft), f"the {kind.name} file")
            for suffix in kind.suffixes:
                replace_durably(draft.with_suffix(suffix), path.with_suffix(suffix))
    except OSError as error:
        raise with_path(error, path) from error
    return Exported(path, difference, graph)


def _path(kind: ExportFormat, path: Path, overwrite: bool) -> Path:
    """The path of the file to write; a folder means the file's default name in it."""
    suffix = kind.suffixes[-1]
    if path.suffix.lower() != suffix:
        raise ValueError(f"{path}: a file of {kind.name} ends with {suffix}")
    for taken in (path.with_suffix(each) for each in kind.suffixes):
        if taken.exists() and not (overwrite and taken.is_file()):
            raise ValueError(f"{taken} exists: choose another --out" + ("" if taken.is_dir() else ", or --overwrite it"))
    return path
