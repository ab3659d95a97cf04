"""Each table equals its folder, so that a new network, task or metric is one file and one row."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

from restore.images import CODECS
from restore.metrics import METRICS, SET_METRICS
from restore.networks import NETWORKS
from restore.networks.discriminators import DISCRIMINATORS
from restore.pipeline.step import Step
from restore.tasks import TASKS
from restore.tasks.methods import METHODS

ROOT = Path(__file__).resolve().parents[1] / "restore"
HELPERS = {
    "networks": {
        "backbones", "checkpoint_importer", "discriminators", "esrgan", "fused", "normalisation", "planning", "reflect_padding",
        "resample", "spec", "third_party", "weight_transfer",
    },
    "tasks": {
        "running", "prepared", "publishing", "starting", "conversion", "restoration", "mask_files", "lazy_cache", "methods", "options",
        "pipelines", "run_on", "configuring",
        "denoise_training", "inpaint_training", "scratches_training", "translate_training", "upscale_training",
    },
    "metrics": {"report"},
}  # fmt: skip
"""Files of a room that hold no row of its table."""


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


def test_discriminators() -> None:
    assert _modules(DISCRIMINATORS.values()) == {"discriminators"}


def test_metrics() -> None:
    rows = [*(metric.function for metric in METRICS.values()), *SET_METRICS.values()]
    assert _modules(rows) == _files("metrics")


def test_codecs() -> None:
    """One file or package a format, named in `CODECS` once."""
    folder = ROOT / "images" / "codecs"
    entries = {path.stem for path in folder.iterdir() if (path / "codec.py").exists() or path.suffix == ".py"}
    parts = [inspect.getmodule(type(codec)).__name__.split(".") for codec in CODECS.values()]  # type: ignore[union-attr]
    assert {name[3] for name in parts} == entries - {"__init__", "base"}
    assert all(codec.name == name for name, codec in CODECS.items())
    suffixes = [suffix for codec in CODECS.values() for suffix in codec.suffixes]
    assert len(set(suffixes)) == len(suffixes) and all(suffix == f".{suffix[1:].lower()}" for suffix in suffixes)


def _rooms() -> list[ModuleType]:
    names = [
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted(ROOT.rglob("*.py"))
    ]
    return [importlib.import_module(name) for name in names]


def test_every_file_says_what_it_is() -> None:
    undescribed = [room.__name__ for room in _rooms() if not room.__doc__ or "To be described" in room.__doc__]
    assert not undescribed
