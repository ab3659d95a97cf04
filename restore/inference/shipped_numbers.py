"""Numbers of small classifiers and regressions that ship as JSON beside the weights."""

from __future__ import annotations

import json
from importlib import resources

import numpy as np


def load(table: str, name: str) -> tuple[dict[str, np.ndarray], float]:
    """The arrays, float64, and the offset that a shipped table, such as "radiograph.json", holds under a name."""
    stored = json.loads(resources.files("restore.shipped").joinpath(table).read_text("utf-8"))[name]
    return {key: np.asarray(value, np.float64) for key, value in stored.items() if key != "offset"}, float(stored["offset"])
