"""Keeps copies of weights in the user's folder, and verifies all weights that are found."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

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
        ValueError: the file is not a known checkpoint, or the name is taken or invalid.
    """
    with convert(Path(file)) as path:
        return catalogue.add(path, name or Path(file).stem).path


def verify_weights() -> list[tuple[catalogue.Listed, str]]:
    """Check every weights file: its checksum, and its tensors against the network of its recipe.

    Returns:
        Each file with its problem, or "" for a sound file.
    """
    return [(listed, listed.problem or _problem(listed)) for listed in catalogue.listing()]


def _problem(listed: catalogue.Listed) -> str:
    try:
        tensors, recipe = catalogue.load(listed.path)
        if recipe["task"] == "generate":
            generators.check(recipe["network"], recipe["settings"], tensors)
            return ""
        for direction in recipe.get("directions") or [None]:
            networks.check(recipe["network"], recipe["settings"], catalogue.select_network(tensors, recipe, direction))
    except ValueError as error:
        return str(error) if str(listed.path) in str(error) else f"{listed.path}: {error}"
    except Exception as error:  # a damaged file can raise anything, and must not stop the check of the others
        return f"{listed.path}: {type(error).__name__}: {error}"
    return ""
