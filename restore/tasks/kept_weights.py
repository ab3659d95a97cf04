"""Keeps copies of weights in the user's folder, and verifies all weights that are found."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import torch

from restore import networks
from restore import weights as catalogue
from restore.networks import generators
from restore.tasks.checkpoint_conversion import convert


def add_weights(file: str | PathLike[str], name: str | None = None) -> Path:
    """Keep a copy of a weights file so that `weights=name` finds it. Third-party checkpoints are converted.

    Args:
        file: a safetensors file of this suite, or a third-party checkpoint, such as a generator of CycleGAN's reference code. It is read
            with `weights_only`, so no code in the file is run.
        name: the new name; by default the file's name.

    Returns:
        The path of the copy.

    Raises:
        ValueError: the file is not a known checkpoint, its tensors are not those of the network that it names, or the name is taken or
            invalid.
    """
    with convert(Path(file)) as path:
        if problem := _problem(path):
            raise ValueError(problem)
        return catalogue.add(path, name or Path(file).stem).path


def verify_weights() -> list[tuple[catalogue.Listed, str]]:
    """Check every weights file: its checksum, and its tensors against the network of its recipe.

    Returns:
        Each file with its problem, or "" for a sound file.
    """
    return [(listed, listed.problem or _problem(listed.path)) for listed in catalogue.listing()]


def _problem(path: Path) -> str:
    """Why weights cannot be used; "" for a sound file."""
    try:
        tensors, recipe = catalogue.load(path)
        if wrong := next((key for key, value in tensors.items() if not bool(torch.isfinite(value).all())), None):
            return f"{path}: {wrong} has values that are not finite; train or copy the weights again"
        if recipe["task"] == "generate":
            generators.check(recipe["network"], recipe["settings"], tensors)
            return ""
        for direction in recipe.get("directions") or [None]:
            networks.check(recipe["network"], recipe["settings"], catalogue.select_network(tensors, recipe, direction))
    except ValueError as error:
        return str(error) if str(path) in str(error) else f"{path}: {error}"
    except Exception as error:  # a damaged file can raise anything, and must not stop the check of the others
        return f"{path}: {type(error).__name__}: {error}"
    return ""
