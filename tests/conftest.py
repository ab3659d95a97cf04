"""Tiny pictures and tiny networks for every room."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from restore import networks, weights
from restore.networks.spec import CONDITION_CHANNELS
from restore.runtime import Runtime

TINY: dict[str, dict[str, Any]] = {
    "unet": {"widths": (8, 12), "blocks": (1, 1)},
    "luma_chroma_unet": {"widths": (8, 12), "blocks": (1, 1), "chroma_widths": (8, 12)},
    "resnet": {"width": 4, "blocks": 1, "norm": "none"},
    "pix2pix_unet": {"width": 4, "levels": 3, "norm": "none"},
    "upscaler": {"width": 8, "blocks": 1, "scale": 2},
    "inpainter": {"widths": (8, 8, 12), "dilations": (1, 2)},
    "colorizer": {"widths": (8, 8, 12), "dilations": (1, 2)},
    "lut": {"widths": (4, 8), "side": 3, "tables": 2},
    "rrdb": {"width": 8, "growth": 4, "blocks": 1, "scale": 2},
}
"""A tiny variant of every row of NETWORKS."""


def pytest_collection_finish() -> None:
    """What is imported by now stays: the garbage collections of the tests need not look at it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def exported_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Models that engines run: the tests share them, and leave the user's cache alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESTORE_CACHE", str(tmp_path_factory.mktemp("engines")))
        yield


@pytest.fixture
def tiny_variants() -> dict[str, dict[str, Any]]:
    """The settings of each row's tiny variant."""
    return TINY


@pytest.fixture
def fp32() -> Runtime:
    """The CPU in float32, where results are exact."""
    return Runtime(torch.device("cpu"), torch.float32)


@pytest.fixture
def tiny() -> Callable[..., torch.nn.Module]:
    """Makes a tiny network; its correction is about a tenth of white, so that mistakes show."""

    def make(name: str = "unet", channels: int = 1, seed: int = 0, **settings: object) -> torch.nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = networks.build(name, channels=channels, **{**TINY[name], **settings})
            side = 16 * network.spec.multiple
            maps = sum(CONDITION_CHANNELS[condition] for condition in network.spec.conditions)
            picture, noise = torch.rand(1, channels, side, side), torch.full((1, maps, side, side), 0.1)
            if network.spec.conditions:  # the others answer with a picture, whatever the size of their weights
                with torch.no_grad():
                    last = [parameter for parameter in network.parameters() if parameter.dim() == 4][-1]
                    last.mul_(0.1 / network(picture, noise).std())
        return network.eval()

    return make


@pytest.fixture
def smooth() -> Callable[..., np.ndarray]:
    """Makes a smooth picture (H, W, C) float32 between 0.1 and 0.9."""

    def make(height: int = 64, width: int = 64, channels: int = 1, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:height, :width] / 64
        planes = []
        for _ in range(channels):
            waves = [np.cos(rng.uniform(-2, 2) * y + rng.uniform(-2, 2) * x + rng.uniform(0, 6)) + 0 * x for _ in range(3)]
            planes.append(0.5 + 0.4 * sum(waves) / 3)
        return np.stack(planes, axis=2).astype(np.float32)

    return make


@pytest.fixture
def photograph() -> Callable[..., np.ndarray]:
    """Makes a picture with the spectrum and the edges of a photograph, (H, W, C) float32 in 0.05..0.95."""

    def make(height: int = 300, width: int = 340, channels: int = 1, seed: int = 5) -> np.ndarray:
        return _photograph(height, width, channels, seed).copy()

    return make


@cache
def _photograph(height: int, width: int, channels: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    fine_height, fine_width = 2 * height, 2 * width
    spectrum = np.fft.rfft2(rng.normal(size=(channels + 1, fine_height, fine_width)))
    frequency = np.hypot(np.fft.fftfreq(fine_height)[:, None], np.fft.rfftfreq(fine_width)[None])
    texture = np.fft.irfft2(spectrum / (frequency + 0.003) ** 1.3, (fine_height, fine_width)).transpose(1, 2, 0)
    fine = 0.5 + 0.12 * (texture[:, :, :1] + 0.3 * texture[:, :, 1:]) / texture.std()
    for _ in range(120):
        centre = (int(rng.integers(fine_width)), int(rng.integers(fine_height)))
        disc = cv2.circle(np.zeros((fine_height, fine_width), np.uint8), centre, int(rng.integers(5, 60)), 1, -1)
        fine += disc[:, :, None] * rng.uniform(-0.25, 0.25, channels)
    small = cv2.resize(fine.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return np.clip(small.reshape(height, width, channels), 0.05, 0.95)


@pytest.fixture
def photos(smooth: Callable[..., np.ndarray]) -> Callable[..., Path]:
    """Fills a folder with small PNG pictures, 8-bit gray or colour."""

    def make(folder: Path, count: int = 3, size: tuple[int, int] = (40, 48), channels: int = 1) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            noisy = smooth(*size, channels, seed=index) + np.random.default_rng(index).normal(0, 0.03, (*size, channels))
            pixels = np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8)
            Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(folder / f"{index}.png")
        return folder

    return make


@pytest.fixture
def weights_file(tiny: Callable[..., torch.nn.Module]) -> Callable[..., Path]:
    """Writes the weights file of a tiny network."""

    def make(path: Path, channels: int = 1, seed: int = 0, **recipe: Any) -> Path:
        settings = {"channels": channels, "widths": [8, 12], "blocks": [1, 1]}
        weights.save(
            path,
            tiny(channels=channels, seed=seed).state_dict(),
            {"task": "denoise", "network": "unet", "settings": settings, **recipe},
        )
        return path

    return make


@pytest.fixture
def own_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of weights, empty, in a working directory without runs."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("RESTORE_WEIGHTS", str(folder))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return folder
