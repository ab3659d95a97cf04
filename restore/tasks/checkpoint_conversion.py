"""Converts third-party checkpoints to weights files of this suite."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from restore import weights
from restore.networks import checkpoint_importer, esrgan_importer, third_party
from restore.networks.spec import Settings
from restore.weights_file import Recipe

IMPORTABLE = {".pth", ".pt", ".ckpt", weights.SUFFIX}
WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model")
"""Keys under which other programs store the tensors, by preference."""


@contextmanager
def convert(path: Path) -> Iterator[Path]:
    """Yield a weights file of this suite: `path` itself, or a temporary conversion of it.

    Raises:
        ValueError: the file cannot be converted.
    """
    if path.suffix.lower() not in IMPORTABLE or (path.suffix == weights.SUFFIX and weights.has_recipe(path)):
        yield path
        return
    try:
        recipe, tensors = _recognize(_state(path))
    except ValueError:
        raise
    except Exception as error:  # keys and shapes of an unknown network can raise anything
        raise ValueError(f"{path} does not contain a known network: {type(error).__name__}: {error}") from error
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / f"{path.stem}{weights.SUFFIX}"
        weights.save(target, tensors, {**recipe, "directions": [], "converted": f"{path.name}, {recipe['converted']}"}, dtype=torch.float32)
        yield target


def _recognize(tensors: dict[str, Tensor]) -> tuple[Recipe, dict[str, Tensor]]:
    """The recipe of third-party tensors, and the tensors under our names.

    Raises:
        ValueError: no importer recognizes them.
    """
    recognized = esrgan_importer.recognise(tensors)
    if recognized is not None:
        name, settings, tensors = recognized
        return _recipe("upscale", name, settings, "a generator in ESRGAN's layout"), tensors
    try:
        name, settings, renamed = checkpoint_importer.recognise(tensors)
        return _recipe("translate", name, settings, "a generator of the reference code of CycleGAN and pix2pix"), renamed
    except ValueError as unknown:
        try:
            name, settings, tensors = third_party.recognise(tensors)
        except ValueError as error:
            raise ValueError(f"{unknown}; and of other networks: {error}") from None
    return _recipe("upscale" if settings["scale"] > 1 else "denoise", name, settings, "run through spandrel"), tensors


def _recipe(task: str, network: str, settings: Settings, source: str) -> Recipe:
    return {"task": task, "network": network, "settings": settings, "converted": source}


def _state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():  # opening a pipe would block
        raise ValueError(f"{path} does not exist" if not path.exists() else f"{path} is not a regular file")
    try:
        _check_size(path)
        state = load_file(path) if path.suffix == weights.SUFFIX else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or third-party file can raise anything
        raise ValueError(f"{path} is not a state dict that can be read without running its code: {error}") from error
    if isinstance(state, dict):
        state = next((state[name] for name in WRAPPERS if isinstance(state.get(name), dict)), state)
    if not isinstance(state, dict) or not all(isinstance(key, str) and _plain(value) for key, value in state.items()):
        raise ValueError(f"{path} does not contain a state dict (only names and tensors): save `network.state_dict()`")
    if sum(value.numel() * value.element_size() for value in state.values()) > SHARED * path.stat().st_size:
        raise ValueError(f"{path} claims to hold more than its own size")
    return state


SHARED = 4
"""Limit for the total size of the tensors, as a multiple of the file's size: tensors may share bytes."""


def _plain(value: object) -> bool:
    """Whether a value is an ordinary dense tensor on the CPU."""
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.is_quantized and value.device.type == "cpu"


def _check_size(path: Path) -> None:
    """Raise ValueError if a file of torch, an uncompressed ZIP archive, claims to hold more than its own size."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
                raise ValueError("it claims to hold more than its own size")
