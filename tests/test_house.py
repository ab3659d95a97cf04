"""Each table equals its folder, so that a new network, task or metric is one file and one row; and the code keeps its budgets.

ruff holds the budgets that it knows: docstrings, arguments, branches, statements.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from restore_cli import train
from restore_cli.common import Common

from restore import metrics
from restore.exporting.formats import FORMATS
from restore.images import CODECS, TARGETS
from restore.metrics import DEFAULT_METRICS, METRICS
from restore.networks import NETWORKS
from restore.networks.discriminators import DISCRIMINATORS
from restore.pipeline.step import Step
from restore.tasks import TASKS
from restore.tasks.training_methods import METHODS

ROOT = Path(__file__).resolve().parents[1] / "restore"
HELPERS = {
    "networks": {
        "backbone_files", "backbones", "checkpoint_importer", "discriminators", "error_head", "esrgan_importer", "fused_residual",
        "lookup_table", "normalisation", "meta_device", "reflect_padding", "resample", "spec", "third_party", "weight_transfer",
    },
    "tasks": {
        "train_run", "prepared_run", "publishing", "initial_weights", "checkpoint_conversion", "restoration_setup", "mask_files",
        "mask_pages",
        "lazy_cache", "training_methods", "options", "confidence", "denoise_confidence", "upscale_confidence",
        "pipelines", "configuring", "translation_setup", "validating",
        "artifacts_training", "colorize_training", "denoise_training", "enhance_training", "inpaint_training", "scratches_training",
        "sharpen_training",
        "translate_training", "upscale_training", "generate_training", "generate_start",
        "kept_weights", "generating", "generation_options", "generated_pictures", "validating_samples", "self_supervision",
        "adaptation", "adaptation_judgement", "resuming", "contact_grid", "table_files",
    },
    "metrics": {
        "extractors", "sets", "set_page", "set_scorer", "picture_sets", "classifier", "classes", "diversity", "memorisation", "neighbours",
    },
}  # fmt: skip
"""Files of a room that hold no row of its table."""
LONGEST_FUNCTION, MEDIAN_FUNCTION, LONGEST_FILE = 60, 8, 300
"""Lines."""
KINDS_TOLD_APART = {
    "Estimate": "a noise level is given (NoiseLevel) or measured (Estimate): a union of two values",
    "NoiseLevel": "see Estimate",
    "Look": "a walk yields what it found and what it is still to look at: a union of two values",
    "Problem": "an event that is shown; events are a union of values",
}
"""Classes that code outside their file tells apart by `isinstance`, with the reason."""
ANY = {
    "JSON: headers of weights files, log lines, answers of a decoding process, a row of `--json`": {
        "restore/networks/spec.py", "restore/weights_file.py", "restore/training/charts.py", "restore/training/run_page.py",
        "restore/images/decoding.py", "restore/images/decoding_process.py", "cli/weights.py",
    },
    "TOML and `--set`: values before they are checked": {
        "restore/limits.py", "restore/training/config.py", "restore/training/config_variants.py", "restore/tasks/pipelines.py",
        "restore/tasks/initial_weights.py", "restore/pipeline/options.py",
    },
    "tables whose rows have types of their own": {
        "restore/tasks/generating.py",
        "restore/api.py", "restore/tasks/training_methods.py", "restore/pipeline/step.py", "restore/pipeline/concurrency.py",
        "restore/networks/discriminators.py", "restore/__init__.py",
    },
    "torch: state dicts, contexts of autograd, the result of an optimizer's step": {
        "restore/training/train_state.py", "restore/training/muon.py", "restore/training/losses.py", "restore/networks/reflect_padding.py",
    },
    "tifffile, pydicom, imagecodecs, spandrel: values and objects without types": {
        "restore/images/codecs/tiff/geometry.py", "restore/images/codecs/tiff/new_file.py", "restore/images/codecs/tiff/stacks.py",
        "restore/images/codecs/tiff/pixel_replacement.py", "restore/images/codecs/dicom/values.py", "restore/images/colour_profiles.py",
        "restore/networks/third_party.py",
    },
    "typer: functions whose signature is made from a dataclass": {"cli/common.py", "cli/restore_commands.py"},
}  # fmt: skip
"""Reason -> the files that may use `Any`; elsewhere a value has its type, or is an `object`."""


def _files(room: str) -> set[str]:
    return {path.stem for path in (ROOT / room).glob("*.py")} - {"__init__"} - HELPERS[room]


def _modules(rows: object) -> set[str]:
    return {module.__name__.rpartition(".")[2] for row in rows if (module := inspect.getmodule(row))}  # type: ignore[attr-defined]


def test_networks(tiny_variants: dict[str, dict[str, Any]]) -> None:
    assert _modules(row.network for row in NETWORKS.values()) == _modules(row.config for row in NETWORKS.values()) == _files("networks")
    assert tiny_variants.keys() == NETWORKS.keys(), "tests/conftest.py needs a tiny variant of every network"


def test_tasks() -> None:
    steps = {name: importlib.import_module(row.step.partition(":")[0]).__dict__[row.step.partition(":")[2]] for name, row in TASKS.items()}
    assert _modules(steps.values()) == _files("tasks")
    assert {name: step.name for name, step in steps.items()} == {name: name for name in TASKS}
    assert all(issubclass(step, Step) for step in steps.values())
    assert {row.options.__module__ for row in TASKS.values()} == {"restore.tasks.options"}


def test_methods() -> None:
    assert _modules(method.prepare for method in METHODS.values()) == {name for name in HELPERS["tasks"] if "_training" in name}


def test_the_help_names_every_method_and_format() -> None:
    helps = [argument.__metadata__[0].help for argument in (train.Method, get_type_hints(Common, include_extras=True)["format"])]
    assert all(re.search(rf"\b{name}\b", helps[0]) for name in METHODS)
    assert all(re.search(rf"\b{name}\b", helps[1]) for name in TARGETS)


def test_discriminators() -> None:
    assert _modules(DISCRIMINATORS.values()) == {"discriminators"}


def test_metrics() -> None:
    # a no-reference metric's row wraps its function
    functions = [getattr(metrics, name) for name in metrics.__all__ if inspect.isfunction(getattr(metrics, name))]
    assert _modules(functions) == _files("metrics")
    assert set(DEFAULT_METRICS) <= set(METRICS)


def test_codecs() -> None:
    """One file or package a format, named in `CODECS` once."""
    folder = ROOT / "images" / "codecs"
    entries = {path.stem for path in folder.iterdir() if (path / "codec.py").exists() or path.suffix == ".py"}
    parts = [inspect.getmodule(type(codec)).__name__.split(".") for codec in CODECS.values()]  # type: ignore[union-attr]
    assert {name[3] for name in parts} == entries - {"__init__", "base"}
    assert all(codec.name == name for name, codec in CODECS.items())
    suffixes = [suffix for codec in CODECS.values() for suffix in codec.suffixes]
    assert len(set(suffixes)) == len(suffixes) and all(suffix == f".{suffix[1:].lower()}" for suffix in suffixes)


def test_export_formats() -> None:
    files = {path.stem for path in (ROOT / "exporting" / "formats").glob("*.py")} - {"__init__", "base"}
    assert FORMATS.keys() == files == _modules(type(row) for row in FORMATS.values())
    assert all(row.name == name for name, row in FORMATS.items())


def _rooms() -> list[ModuleType]:
    names = [".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__") for path in sorted(ROOT.rglob("*.py"))]
    return [importlib.import_module(name) for name in names]


def test_every_file_says_what_it_is() -> None:
    undescribed = [room.__name__ for room in _rooms() if not room.__doc__ or "To be described" in room.__doc__]
    assert not undescribed


@cache
def _sources() -> dict[str, tuple[str, ast.Module]]:
    """The text and the syntax tree of each file of `restore` and `cli`, by its path."""
    folders = (ROOT, ROOT.parent / "cli")
    paths = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    texts = {path.relative_to(ROOT.parent).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    return {name: (text, ast.parse(text)) for name, text in texts.items()}


def _nodes() -> Iterator[tuple[str, ast.AST]]:
    return ((name, node) for name, (_, tree) in _sources().items() for node in ast.walk(tree))


def _calls(function: str) -> Iterator[tuple[str, ast.Call]]:
    for name, node in _nodes():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function:
            yield f"{name}:{node.lineno}", node


def test_functions_and_files_are_short() -> None:
    lengths = {
        f"{name}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for name, node in _nodes()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not {where: length for where, length in lengths.items() if length > LONGEST_FUNCTION}
    assert statistics.median(lengths.values()) <= MEDIAN_FUNCTION
    assert not {name: lines for name, (text, _) in _sources().items() if (lines := text.count("\n")) > LONGEST_FILE}


def test_no_attribute_is_asked_for_by_a_literal_name() -> None:
    assert not [where for where, call in _calls("getattr") if isinstance(call.args[1], ast.Constant)]


def test_any_stands_only_at_the_edges() -> None:
    users = {name for name, node in _nodes() if isinstance(node, ast.Name) and node.id == "Any"}
    assert users == {name for files in ANY.values() for name in files}


def test_nothing_is_left_unimplemented() -> None:
    raised = [(name, node) for name, node in _nodes() if isinstance(node, ast.Raise) and node.exc is not None]
    assert not [f"{name}:{node.lineno}" for name, node in raised if "NotImplementedError" in ast.unparse(node.exc)]  # type: ignore[arg-type]


def test_no_class_of_ours_is_told_apart_outside_its_file() -> None:
    """An exception may be: `except` tells them apart, too."""
    found = {}
    for where, call in [*_calls("isinstance"), *_calls("issubclass")]:
        ours = _imported_from_ours(_sources()[where.partition(":")[0]][1])
        for node in ast.walk(call.args[1]):
            kind = ours.get(node.id) if isinstance(node, ast.Name) else None
            if inspect.isclass(kind) and not issubclass(kind, BaseException):
                found[where, kind.__name__] = ast.unparse(call)
    assert {name for _, name in found} == KINDS_TOLD_APART.keys(), found


def _imported_from_ours(tree: ast.Module) -> dict[str, object]:
    """What a file imports from `restore`, by the name that it has there."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "restore":
            module = vars(importlib.import_module(node.module))
            found.update({alias.asname or alias.name: module.get(alias.name) for alias in node.names})
    return found


def test_every_ignored_type_error_has_its_reason() -> None:
    bare = re.compile(r"# type: ignore(?!\[[a-z, -]+\]  # \S)")
    assert not [f"{name}: {line.strip()}" for name, (text, _) in _sources().items() for line in text.splitlines() if bare.search(line)]


def test_every_silenced_check_has_its_reason() -> None:
    bare = re.compile(r"# noqa(?!: [A-Z0-9, ]+ +[#(-] ?\w)")
    assert not [f"{name}: {line.strip()}" for name, (text, _) in _sources().items() for line in text.splitlines() if bare.search(line)]
