"""Each table equals its folder, so that a new network, task or metric is one file and one row."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

from restore.metrics import METRICS, SET_METRICS
from restore.networks import NETWORKS
from restore.networks.discriminators import DISCRIMINATORS
from restore.tasks import METHODS, TASKS

ROOT = Path(__file__).resolve().parents[1] / "restore"
HELPERS = {
    "networks": {
        "backbones", "checkpoint_importer", "discriminators", "esrgan", "fused", "normalisation", "planning", "reflect_padding",
        "resample", "spec", "third_party", "weight_transfer",
    },
    "tasks": {
        "running", "prepared", "configuring", "publishing", "starting", "converting", "restoration", "mask_files",
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
    assert _modules(task.work for task in TASKS.values()) == _files("tasks")
    assert {task.work.name for task in TASKS.values()} == set(TASKS)  # type: ignore[attr-defined]


def test_methods() -> None:
    assert _modules(method.prepare for method in METHODS.values()) == {name for name in HELPERS["tasks"] if "_training" in name}


def test_discriminators() -> None:
    assert _modules(DISCRIMINATORS.values()) == {"discriminators"}


def test_metrics() -> None:
    rows = [*(metric.function for metric in METRICS.values()), *SET_METRICS.values()]
    assert _modules(rows) == _files("metrics")


def _rooms() -> list[ModuleType]:
    names = [
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted(ROOT.rglob("*.py"))
    ]
    return [importlib.import_module(name) for name in names]


def test_every_file_says_what_it_is() -> None:
    undescribed = [room.__name__ for room in _rooms() if not room.__doc__ or "To be described" in room.__doc__]
    assert not undescribed
