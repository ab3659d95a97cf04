"""Weights of other programs, made into weights files of this suite."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from restore import weights
from restore.networks import reference

FOREIGN = {".pth", ".pt", ".ckpt"}


@contextmanager
def converted(path: Path) -> Iterator[Path]:
    """A weights file of this suite for `path`: itself, or for the time of the context its conversion.

    Raises:
        ValueError: a file that is neither.
    """
    if path.suffix.lower() not in FOREIGN:
        yield path
        return
    name, settings, tensors = reference.recognise(_state(path))
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / f"{path.stem}{weights.SUFFIX}"
        recipe = {
            "task": "translate", "network": name, "settings": settings, "directions": [],
            "converted": f"{path.name}, a generator of the reference code of CycleGAN and pix2pix",
        }  # fmt: skip
        weights.save(target, tensors, recipe, dtype=torch.float32)
        yield target


def _state(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"{path} is not there") from None
    except Exception as error:  # torch raises whatever its readers meet in a damaged or foreign file
        raise ValueError(f"{path} is no state dict that can be read without running its code: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds no state dict (names and tensors only): save `network.state_dict()`")
    return state
