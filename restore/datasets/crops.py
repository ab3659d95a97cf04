"""Clean pictures -> seeded, augmented, damaged training crops.

A sample is a function of (seed, index) alone: the picture, the crop, the flips and the noise. The order and the randomness of
a run therefore need no state beside the step number, and are the same with any number of workers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from restore.images import ImageError, read

log = logging.getLogger(__name__)

Damage = Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray | None]]
Ageing = Callable[[np.ndarray, np.random.Generator], np.ndarray]
Wanted = Callable[[np.ndarray, np.ndarray], np.ndarray]


class DamagedCrops(Dataset[dict[str, Tensor]]):
    """Crops of clean pictures with damage made on the fly.

    Each item is {"damaged": (C, S, S), "clean": (C, S, S), condition: (1, S, S)}, float32, nominal [0, 1]; there is no condition where the
    damage tells none, and what is damaged may be smaller than what is clean.

    Args:
        files: the clean pictures.
        crop: side S in pixels; smaller pictures are mirrored outwards.
        channels: 1 (colour pictures become luma, ITU-R BT.601) or 3 (gray pictures are repeated).
        damage: what harms a crop (H, W, C) and tells where or how much (H, W, 1), or None.
        condition: what that map is called: "noise" (its level) or "mask".
        pictures: another's of the same files, so that what it has read and refused is known.
        ageing: what is done to a clean crop (H, W, C) first, and not undone by the network.
        wanted: what the network is to make, from the clean and the damaged crop, where it is not the clean one.
        seed: of everything random.
        length: number of items.
        scales: a crop is taken from the picture shrunk by a factor drawn from this range (1 = as it is), area-averaged.
        scaled_share: share of the crops that are shrunk; the others are taken as they are.
        gain: a crop's contrast is multiplied by a factor drawn from this range.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        crop: int,
        channels: int,
        damage: Damage,
        seed: int,
        length: int,
        scales: tuple[float, float] = (1.0, 1.0),
        scaled_share: float = 1.0,
        gain: tuple[float, float] = (1.0, 1.0),
        condition: str = "noise",
        ageing: Ageing | None = None,
        wanted: Wanted | None = None,
        pictures: Pictures | None = None,
    ) -> None:
        self.condition, self.ageing, self.wanted = condition, ageing, wanted
        self.pictures = pictures or Pictures(files, channels)
        self.crop, self.damage, self.seed, self.length = crop, damage, seed, length
        self.scales, self.scaled_share, self.gain = scales, scaled_share, gain

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, index])
        picture = self.pictures.draw(rng)
        clean = self._augment(self._crop(picture, rng), rng)
        if self.ageing is not None:
            clean = self.ageing(clean, rng)
        damaged, told = self.damage(clean, rng)
        item = {"damaged": _tensor(damaged), "clean": _tensor(self.wanted(clean, damaged) if self.wanted else clean)}
        return item if told is None else item | {self.condition: _tensor(told)}

    def _crop(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One square crop, (S, S, C) float32 in [0, 1]."""
        factor = rng.uniform(*self.scales) if rng.random() < self.scaled_share else 1.0
        side = round(self.crop / factor)
        shortage = [max(0, side - length) for length in picture.shape[:2]]
        if any(shortage):
            picture = np.pad(picture, ((0, shortage[0]), (0, shortage[1]), (0, 0)), mode="symmetric")
        top, left = (int(rng.integers(length - side + 1)) for length in picture.shape[:2])
        piece = to_float(picture[top : top + side, left : left + side])
        if side != self.crop:
            piece = cv2.resize(piece, (self.crop, self.crop), interpolation=cv2.INTER_AREA).reshape(
                self.crop, self.crop, -1
            )
        return piece

    def _augment(self, crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One of the eight flips and quarter turns, and a change of contrast."""
        crop = np.rot90(crop, int(rng.integers(4)))
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        gain = np.float32(rng.uniform(*self.gain))
        return np.ascontiguousarray(crop * gain if gain != 1 else crop)


class Pictures:
    """Decoded pictures in memory, as many as fit; a file that cannot be read is named once, skipped and counted.

    Worker processes that share it know of each other's bad files; their reasons stay where they were logged.
    """

    def __init__(self, files: Sequence[Path], channels: int, *, budget: int = 4 * 2**30) -> None:
        if channels not in {1, 3}:
            raise ValueError(f"channels must be 1 or 3, not {channels}")
        self.files, self.channels, self.budget = list(files), channels, budget
        self._reasons: dict[Path, str] = {}
        self._refused = torch.zeros(len(self.files), dtype=torch.uint8).share_memory_()
        self._kept: dict[Path, np.ndarray] = {}

    @property
    def bad(self) -> dict[Path, str]:
        """The pictures that could not be read so far, in any process, each with its reason."""
        refused = [self.files[number] for number in self._refused.nonzero().flatten().tolist()]
        return {path: self._reasons.get(path, f"{path}: skipped by a loading process, which logged why") for path in refused}

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """A picture drawn by `rng`: (H, W, C), uint8 or uint16 or float32.

        Raises:
            ValueError: none of the pictures can be read.
        """
        for _ in range(100 + len(self.files)):
            picture = self.get(int(rng.integers(len(self.files))))
            if picture is not None:
                return picture
        raise ValueError(
            f"none of the {len(self.files)} training pictures can be read; the last said: {[*self.bad.values()][-1]}"
        )

    def get(self, number: int) -> np.ndarray | None:
        """The picture of that number, (H, W, C), or None where it cannot be read."""
        path = self.files[number]
        if self._refused[number]:
            return None
        try:
            return self._get(path)
        except Exception as error:  # whatever a damaged file may raise is that file's fault
            reason = str(error) if isinstance(error, ImageError | OSError) else f"{type(error).__name__}: {error}"
            # in a data set many files have the same name
            self.refuse(number, reason if str(path) in reason else f"{path}: {reason.removeprefix(f'{path.name}: ')}")
            return None

    def refuse(self, number: int, reason: str) -> None:
        """Leave the picture of that number out from now on, and say why."""
        self._reasons[self.files[number]] = reason
        self._refused[number] = 1
        log.warning("skipped for training: %s", reason)

    def _get(self, path: Path) -> np.ndarray:
        kept = self._kept.get(path)
        if kept is not None:
            return kept
        picture = compact(in_channels(read(path).frame(0).normalized(), self.channels))
        if picture.nbytes <= self.budget:
            self.budget -= picture.nbytes
            self._kept[path] = picture
        return picture


def in_channels(picture: np.ndarray, channels: int) -> np.ndarray:
    """(H, W, 1|3) -> (H, W, channels): luma (ITU-R BT.601) one way, repetition the other."""
    if picture.shape[2] == channels:
        return picture
    if channels == 1:
        return (picture @ np.array([0.299, 0.587, 0.114], np.float32))[:, :, None]
    return np.repeat(picture, 3, axis=2)


def compact(picture: np.ndarray) -> np.ndarray:
    """The smallest exact-enough type: uint8 if every value is a 255th, else uint16 (65535ths)."""
    eight = np.rint(np.clip(picture, 0, 1) * 255)
    if np.abs(picture * 255 - eight).max(initial=0) < 1e-3:
        return eight.astype(np.uint8)
    return np.rint(np.clip(picture, 0, 1) * 65535).astype(np.uint16)


def to_float(picture: np.ndarray) -> np.ndarray:
    """uint8 or uint16 -> float32 in [0, 1]."""
    return picture.astype(np.float32) / np.float32(np.iinfo(picture.dtype).max)


def _tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32))
