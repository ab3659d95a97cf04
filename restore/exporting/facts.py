"""What an exported file says of itself: the weights' name, purpose, licence, card and recipe, so that the file alone is complete."""

from __future__ import annotations

import json
from collections.abc import Mapping

import torch

from restore import weights
from restore.weights import Entry

Facts = Mapping[str, object]
"""Name -> value, JSON-able."""
PREFIX = "restore."


def facts_of(entry: Entry, part: str | None) -> Facts:
    """The facts about weights.

    Args:
        entry: the weights.
        part: which network of a file that holds several; None for the only one.
    """
    own: dict[str, object] = {
        "name": entry.name, "task": entry.recipe["task"], "network": entry.recipe["network"], "for": entry.purpose,
        "licence": entry.licence, "card": weights.card_text(entry.card) if entry.card else "", "recipe": entry.recipe,
        "sha256": weights.fingerprint(entry), "torch": torch.__version__,
    }  # fmt: skip
    return own if part is None else {**own, "part": part}


def texts(facts: Facts) -> dict[str, str]:
    """The facts as a format's metadata hold them: text as it is, everything else as JSON; the names begin with `restore.`."""
    return {PREFIX + name: value if isinstance(value, str) else json.dumps(value) for name, value in facts.items()}
