"""Clean images -> seeded, augmented, degraded training crops.

A sample is a function of (seed, index) alone: the image, the crop, the flips and the noise. The order and the randomness of a run
therefore need no state but the step number, and do not depend on the number of workers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from restore.images import ImageError, read
from restore.images.errors import SALVAGE
from restore.images.luma import luma

log = logging.getLogger(__name__)
MOST_VALID, SMALLEST = 0.995, 48
"""The share of pixels with a value above which a noisy picture is taken whole, and the smallest side of a part in pixels."""

Degradation = Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray | None]]
"""A crop (H, W, C) and a generator -> the degraded crop, and a map (H, W, 1) of where or how much, or None."""
GlobalDegradation = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""A crop (H, W, C) and a generator -> the crop that serves as the clean one."""
MakeTarget = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""The clean and the degraded crop -> the target (H, W, C)."""


class DegradedCrops(Dataset[dict[str, Tensor]]):
    """Crops of clean images, degraded on the fly.

    Each item is {"input": (C, S, S), "target": (C, S, S), condition: (1, S, S)}, float32, nominal [0, 1]. There is no condition where the
    degradation returns no map. The input may be smaller than the target.

    Args:
        pictures: the clean images.
        crop: side S in pixels; smaller images are reflected outwards.
        degradation: turns a clean crop into the input.
        condition: name of the degradation's map: "noise" (its level) or "mask".
        global_degradation: applied to a clean crop first; the network does not undo it.
        make_target: computes the target where it is not the clean crop.
        seed: of everything random.
        length: number of items.
        scales: a crop is taken from the image resized by a factor drawn from this range, area-averaged.
        scaled_fraction: fraction of the crops that are resized.
        gain: a crop's contrast is multiplied by a factor drawn from this range.
        upright: crops are flipped left to right only; otherwise quarter rotations come in addition.
    """

    def __init__(  # noqa: PLR0913  # keyword-only, most with a default
        self,
        pictures: Pictures,
        *,
        crop: int,
        degradation: Degradation,
        seed: int,
        length: int,
        scales: tuple[float, float] = (1.0, 1.0),
        scaled_fraction: float = 1.0,
        gain: tuple[float, float] = (1.0, 1.0),
        upright: bool = False,
        condition: str = "noise",
        global_degradation: GlobalDegradation | None = None,
        make_target: MakeTarget | None = None,
    ) -> None:
        self.condition, self.global_degradation, self.make_target = condition, global_degradation, make_target
        self.pictures, self.crop, self.degradation, self.seed, self.length = pictures, crop, degradation, seed, length
        self.scales, self.scaled_fraction, self.gain, self.upright = scales, scaled_fraction, gain, upright

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, index])
        picture = self.pictures.draw(rng)
        clean = self._augment(self._crop(picture, rng), rng)
        if self.global_degradation is not None:
            clean = self.global_degradation(clean, rng)
        degraded, condition = self.degradation(clean, rng)
        target = self.make_target(clean, degraded) if self.make_target else clean
        item = {"input": to_tensor(degraded), "target": to_tensor(target)}
        return item if condition is None else item | {self.condition: to_tensor(condition)}

    def _crop(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One square crop, (S, S, C) float32 in [0, 1]."""
        factor = rng.uniform(*self.scales) if rng.random() < self.scaled_fraction else 1.0
        side = round(self.crop / factor)
        piece = random_crop(picture, side, rng)
        if side != self.crop:
            piece = cv2.resize(piece, (self.crop, self.crop), interpolation=cv2.INTER_AREA).reshape(self.crop, self.crop, -1)
        return piece

    def _augment(self, crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Apply one of the eight flips and quarter rotations (upright: of the two flips left to right), and a change of contrast."""
        turns = int(rng.integers(4))
        crop = crop if self.upright else np.rot90(crop, turns)
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        gain = np.float32(rng.uniform(*self.gain))
        return np.ascontiguousarray(crop * gain if gain != 1 else crop)


@dataclass(frozen=True)
class Generated:
    """Pictures that a generator made, mixed into those of the files.

    Attributes:
        pictures: (H, W, C) each, uint8 or uint16, with the files' channels.
        fraction: of the draws that take one of them.
    """

    pictures: Sequence[np.ndarray]
    fraction: float


class Pictures:
    """Decoded images in memory, as many as fit; a file that cannot be read is logged once, skipped and counted.

    Worker processes share which files are unreadable; the reasons stay in the process that logged them.

    Args:
        files: the image files.
        channels: 1 (colour images become luma, ITU-R BT.601) or 3 (gray images are repeated).
        short_side: pixels to which the shorter side of larger images is reduced, area-averaged; 0 keeps the size.
        budget: bytes of decoded images that are kept.
        use: what they are for, for messages.
        generated: pictures that are drawn in addition.
        noisy: their noise matters: values beyond black and white stay, and pixels without a value are left out; see `noisy_part`.
    """

    def __init__(
        self, files: Sequence[Path], channels: int, *, short_side: int = 0, budget: int = 4 * 2**30, use: str = "training",
        generated: Generated | None = None, noisy: bool = False,
    ) -> None:  # fmt: skip
        if channels not in {1, 3}:
            raise ValueError(f"channels must be 1 or 3, not {channels}")
        self.files, self.channels, self.short_side, self.budget, self.use = list(files), channels, short_side, budget, use
        self.generated, self.noisy = generated, noisy
        self._reasons: dict[Path, str] = {}
        self._unreadable = torch.zeros(len(self.files), dtype=torch.uint8).share_memory_()
        self._kept: dict[Path, np.ndarray] = {}

    @property
    def skipped(self) -> dict[Path, str]:
        """The images that could not be used so far, in any process, each with its reason."""
        unreadable = [self.files[number] for number in self._unreadable.nonzero().flatten().tolist()]
        return {path: self._reasons.get(path, f"{path}: skipped by a loading process, which logged why") for path in unreadable}

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Draw an image: (H, W, C), uint8 or uint16; noisy ones may be float32.

        Raises:
            ValueError: none of the images can be read.
        """
        return self.draw_numbered(rng)[1]

    def draw_numbered(self, rng: np.random.Generator) -> tuple[int, np.ndarray]:
        """Draw an image as `draw` does; return its index in `files`, or beyond its end in `generated`, too."""
        if self.generated is not None and rng.random() < self.generated.fraction:
            number = int(rng.integers(len(self.generated.pictures)))
            return len(self.files) + number, self.generated.pictures[number]
        for _ in range(100 + len(self.files)):
            number = int(rng.integers(len(self.files)))
            picture = self.get(number)
            if picture is not None:
                return number, picture
        raise ValueError(f"none of the {len(self.files)} {self.use} pictures can be read; the last error: {[*self.skipped.values()][-1]}")

    def get(self, index: int) -> np.ndarray | None:
        """Return the image at that index, (H, W, C), or None where it cannot be used."""
        path = self.files[index]
        if self._unreadable[index]:
            return None
        try:
            return self._get(path)
        except Exception as error:  # whatever a damaged file raises is that file's fault
            reason = str(error) if isinstance(error, ImageError | OSError) else f"{type(error).__name__}: {error}"
            # in a data set, many files have the same name
            self.skip(index, reason if str(path) in reason else f"{path}: {reason.removeprefix(f'{path.name}: ')}")
            return None

    def skip(self, index: int, reason: str) -> None:
        """Leave out the image at that index from now on, and log why."""
        reason = reason.replace(SALVAGE, "")
        self._reasons[self.files[index]] = reason
        self._unreadable[index] = 1
        log.warning("skipped for %s: %s", self.use, reason)

    def _get(self, path: Path) -> np.ndarray:
        kept = self._kept.get(path)
        if kept is not None:
            return kept
        frame = read(path).frame(0)
        picture = in_channels(frame.normalized(), self.channels)
        picture = shrunk(noisy_part(picture, frame.visible()) if self.noisy else picture, self.short_side)
        if not self.noisy or (picture.min() >= 0 and picture.max() <= 1):
            picture = compact(picture)
        if picture.nbytes <= self.budget:
            self.budget -= picture.nbytes
            self._kept[path] = picture
        return picture


def noisy_part(picture: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """The part of a picture, (H, W, C), whose noise can be measured and learnt from.

    Pixels without a value (padding, NaN) hold none. A few among many do no harm, and keep what they are filled with; where there are more,
    it is a rectangle without any of them: the largest such square, made as long and as wide as they allow.

    Args:
        picture: (H, W, C) float32.
        valid: (H, W) bool, the pixels that have a value; None for all.

    Raises:
        ImageError: there is no such square of SMALLEST pixels.
    """
    if valid is None or valid.mean() > MOST_VALID:
        return picture
    distance = cv2.distanceTransform(np.pad(valid.astype(np.uint8), 1), cv2.DIST_C, 3)[1:-1, 1:-1]
    row, column = np.unravel_index(int(distance.argmax()), distance.shape)
    reach = int(distance.max()) - 1
    if 2 * reach + 1 < SMALLEST:
        raise ImageError(f"it has no part of {SMALLEST} x {SMALLEST} pixels that all have a value")
    top, bottom, left, right = int(row) - reach, int(row) + reach + 1, int(column) - reach, int(column) + reach + 1
    top, bottom = _run(np.asarray(valid[:, left:right].all(1)), top, bottom)
    left, right = _run(np.asarray(valid[top:bottom].all(0)), left, right)
    return np.ascontiguousarray(picture[top:bottom, left:right])


def _run(usable: np.ndarray, start: int, end: int) -> tuple[int, int]:
    """`start` and `end` moved outwards as far as all between them are usable."""
    before, after = np.flatnonzero(~usable[:start]), np.flatnonzero(~usable[end:])
    return (int(before[-1]) + 1 if before.size else 0), (end + int(after[0]) if after.size else usable.size)


def in_channels(picture: np.ndarray, channels: int) -> np.ndarray:
    """(H, W, 1|3) -> (H, W, channels): luma (ITU-R BT.601) one way, repetition the other."""
    if picture.shape[2] == channels:
        return picture
    if channels == 1:
        return luma(picture)[:, :, None]
    return np.repeat(picture, 3, axis=2)


def shrunk(picture: np.ndarray, short_side: int) -> np.ndarray:
    """(H, W, C) with its shorter side reduced to `short_side` pixels, area-averaged; smaller pictures, and all with 0, stay."""
    height, width = picture.shape[:2]
    if not 0 < short_side < min(height, width):
        return picture
    factor = short_side / min(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA)).reshape(size[1], size[0], -1)


def compact(picture: np.ndarray) -> np.ndarray:
    """The smallest type that is exact enough: uint8 if every value is a multiple of 1/255, else uint16."""
    eight: np.ndarray = np.rint(np.clip(picture, 0, 1) * 255)
    if np.abs(picture * 255 - eight).max(initial=0) < 1e-3:
        return eight.astype(np.uint8)
    return np.asarray(np.rint(np.clip(picture, 0, 1) * 65535)).astype(np.uint16)


def to_float(picture: np.ndarray) -> np.ndarray:
    """uint8 or uint16 -> float32 in [0, 1]; float32 stays."""
    if picture.dtype == np.float32:
        return picture
    return picture.astype(np.float32) / np.float32(np.iinfo(picture.dtype).max)


def random_crop(picture: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Cut a random square of `side` pixels, float32 in [0, 1]; a smaller image is reflected outwards first."""
    shortage = [max(0, side - length) for length in picture.shape[:2]]
    if any(shortage):
        picture = np.pad(picture, ((0, shortage[0]), (0, shortage[1]), (0, 0)), mode="symmetric")
    top, left = (int(rng.integers(length - side + 1)) for length in picture.shape[:2])
    return to_float(picture[top : top + side, left : left + side])


def to_tensor(picture: np.ndarray) -> Tensor:
    """(H, W, C) -> (C, H, W) float32."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32))
