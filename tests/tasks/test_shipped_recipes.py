"""The headers of the weights that ship: each records a training configuration that this tree can read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from restore import weights
from restore.tasks.training_methods import METHODS
from restore.training import config

SHIPPED = sorted(path for path in (Path(__file__).resolve().parents[2] / "weights").glob("*.safetensors") if path.stem != "confidence")


def _toml(table: dict[str, Any], prefix: str = "") -> str:
    """A table of numbers, texts, lists and further tables as TOML; what is None is left out."""
    values = "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items() if not isinstance(value, dict | None))
    groups = {key: value for key, value in table.items() if isinstance(value, dict)}
    return values + "".join(f"[{prefix}{key}]\n{_toml(value, f'{prefix}{key}.')}" for key, value in groups.items())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_recorded_training_is_a_valid_configuration(tmp_path: Path, path: Path) -> None:
    recipe = weights.recipe(path)
    (tmp_path / "config.toml").write_text(_toml(recipe["training"]))
    method = METHODS[recipe["method"]]
    resolved: Any = config.resolve(method.config, tmp_path / "config.toml")
    group = vars(resolved)["generator" if "generator" in recipe["training"] else "network"]
    assert group.name == recipe["network"]
    assert config.as_dict(resolved).keys() >= recipe["training"].keys()
