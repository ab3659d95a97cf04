"""Clean images -> seeded, augmented, degraded crops, a whole batch at once on the training device.

A GPU trains faster than CPUs cut and degrade crops. So all images lie in its memory as 8 or 16-bit values, and a batch is made there by a
few kernels that wait for nothing. A batch is a function of (seed, first index, count) on one device. The draws have the distribution of
`crops.DegradedCrops`, but other values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from restore.datasets.crops import Pictures

BatchDegradation = Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor | None]]
"""Crops (B, C, H, W) and a generator of their device -> the degraded crops, and a map (B, 1, H, W) of where or how much, or None."""
BatchGlobalDegradation = Callable[[Tensor, torch.Generator], Tensor]
"""Crops (B, C, H, W) and a generator -> the crops that serve as the clean ones."""
READERS = 8
"""Threads that decode the images."""


@dataclass(frozen=True)
class BatchDraws:
    """How each crop of a batch is cut and augmented; every tensor is (B,).

    Attributes:
        picture: number of the image.
        top, left, side: the square that is cut, in pixels; it is reduced to the crop's side.
        transposed, flipped_rows, flipped_columns: together one of the eight flips and quarter rotations.
        gain: factor on the contrast.
    """

    picture: Tensor
    top: Tensor
    left: Tensor
    side: Tensor
    transposed: Tensor
    flipped_rows: Tensor
    flipped_columns: Tensor
    gain: Tensor


class PackedPictures:
    """Images of any sizes in one tensor.

    Args:
        pictures: (H, W, C) each, uint8 or uint16, with equal C.
        device: where they lie.
    """

    def __init__(self, pictures: Sequence[np.ndarray], device: torch.device) -> None:
        deep = any(picture.dtype == np.uint16 for picture in pictures)
        # 257 v / 65535 is v / 255; torch indexes no uint16, so these travel as the int16 of the same bits
        flat = [picture.astype(np.uint16) * np.uint16(257) if deep and picture.dtype == np.uint8 else picture for picture in pictures]
        values = np.concatenate([picture.reshape(-1, picture.shape[2]) for picture in flat])
        self.white = 65535.0 if deep else 255.0
        self.values = torch.from_numpy(values.view(np.int16) if deep else values).to(device)
        heights, widths = ([picture.shape[axis] for picture in pictures] for axis in (0, 1))
        sizes = np.multiply(heights, widths, dtype=np.int64)
        self.heights, self.widths, self.starts = (
            torch.as_tensor(column, dtype=torch.int64).to(device) for column in (heights, widths, np.cumsum(sizes) - sizes)
        )

    def cut(self, draws: BatchDraws, reach: int) -> Tensor:
        """Squares of `reach` pixels from the draws' corners on, (B, C, reach, reach) float32 in [0, 1]; reflected beyond the borders."""
        height, width, start = (one[draws.picture][:, None] for one in (self.heights, self.widths, self.starts))
        steps = torch.arange(reach, device=height.device)
        rows, columns = _reflected(draws.top[:, None] + steps, height), _reflected(draws.left[:, None] + steps, width)
        index = (start + rows * width)[:, :, None] + columns[:, None, :]
        stored = self.values[index].permute(0, 3, 1, 2)
        return (stored if self.values.dtype == torch.uint8 else stored.int() & 0xFFFF).float() / self.white


class BatchCrops(Dataset[dict[str, Tensor]]):
    """Crops of clean images, degraded on the fly in whole batches.

    A batch is {"input": (B, C, S, S), "target": (B, C, S, S), condition: (B, 1, S, S)}, float32, nominal [0, 1]. There is no condition
    where the degradation returns no map. The input may be smaller than the target.

    Args:
        pictures: the clean images; all are read at once.
        device: where the images lie and the batches are made.
        crop: side S in pixels; smaller images are reflected outwards.
        degradation: turns clean crops into the input.
        condition: name of the degradation's map.
        global_degradation: applied to clean crops first; the network does not undo it.
        seed: of everything random.
        length: number of items.
        scales: a crop is taken from the image reduced by a factor drawn from this range, at most 1, area-averaged.
        scaled_fraction: fraction of the crops that are reduced.
        gain: a crop's contrast is multiplied by a factor drawn from this range.
        upright: crops are flipped left to right only; otherwise quarter rotations come in addition.

    Raises:
        ValueError: none of the images can be read, or a factor above 1.
    """

    def __init__(  # noqa: PLR0913  # keyword-only, most with a default
        self, pictures: Pictures, device: torch.device, *, crop: int, degradation: BatchDegradation, seed: int, length: int,
        scales: tuple[float, float] = (1.0, 1.0), scaled_fraction: float = 1.0, gain: tuple[float, float] = (1.0, 1.0),
        upright: bool = False, condition: str = "noise", global_degradation: BatchGlobalDegradation | None = None,
    ) -> None:  # fmt: skip
        if scales[1] > 1:
            raise ValueError(f"data.on_device reduces pictures only: set data.scales to at most 1, not {scales[1]:g}")
        with ThreadPoolExecutor(READERS) as readers:
            read = [picture for picture in readers.map(pictures.get, range(len(pictures.files))) if picture is not None]
        if not read:
            raise ValueError(f"none of the {len(pictures.files)} pictures can be read; the last error: {[*pictures.skipped.values()][-1]}")
        self.packed, self.device = PackedPictures(read, device), device
        self.crop, self.degradation, self.seed, self.length = crop, degradation, seed, length
        self.scales, self.scaled_fraction, self.gain, self.upright = scales, scaled_fraction, gain, upright
        self.condition, self.global_degradation = condition, global_degradation

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: tensor[0] for name, tensor in self.batch(index, 1).items()}

    def batch(self, first: int, count: int) -> dict[str, Tensor]:
        """Make the batch of the items `first` .. `first + count - 1`."""
        generator = torch.Generator(self.device)
        generator.manual_seed(int(np.random.SeedSequence([self.seed, first, count]).generate_state(1, np.uint64)[0]))
        clean = self.crops(self.draw(count, generator))
        if self.global_degradation is not None:
            clean = self.global_degradation(clean, generator)
        degraded, condition = self.degradation(clean, generator)
        batch = {"input": degraded, "target": clean}
        return batch if condition is None else batch | {self.condition: condition}

    def draw(self, count: int, generator: torch.Generator) -> BatchDraws:
        """Draw how `count` crops are cut and augmented."""
        uniform = torch.rand((9, count), generator=generator, device=self.device, dtype=torch.float64)
        factor = torch.where(uniform[0] < self.scaled_fraction, _between(uniform[1], self.scales), 1.0)
        side = torch.round(self.crop / factor).long()
        number = _below(uniform[2], torch.full_like(side, len(self.packed.heights)))
        top, left = (
            _below(draw, (lengths[number] - side).clamp(min=0) + 1)
            for draw, lengths in ((uniform[3], self.packed.heights), (uniform[4], self.packed.widths))
        )
        transposed, flipped_rows, flipped_columns = uniform[5:8] < 0.5
        if self.upright:
            transposed = flipped_rows = torch.zeros_like(flipped_columns)
        return BatchDraws(number, top, left, side, transposed, flipped_rows, flipped_columns, _between(uniform[8], self.gain).float())

    def crops(self, draws: BatchDraws) -> Tensor:
        """Cut, reduce and augment: (B, C, S, S) float32."""
        crops = self.packed.cut(draws, max(self.crop, round(self.crop / self.scales[0])))
        if self.scales[0] < 1:
            weights = area_weights(draws.side, self.crop, crops.shape[-1])[:, None]
            crops = weights @ crops @ weights.mT
        crops = torch.where(_each(draws.transposed), crops.mT, crops)
        crops = torch.where(_each(draws.flipped_rows), crops.flip(-2), crops)
        crops = torch.where(_each(draws.flipped_columns), crops.flip(-1), crops)
        return crops if self.gain == (1.0, 1.0) else crops * _each(draws.gain)


def area_weights(side: Tensor, crop: int, reach: int) -> Tensor:
    """The matrices that average `side` pixels (B,) to `crop`, each by the area that it covers: (B, crop, reach) float32."""
    ratio = side.double()[:, None, None] / crop
    begin = torch.arange(crop, device=side.device)[:, None] * ratio
    pixel = torch.arange(reach, device=side.device)
    covered = torch.minimum(begin + ratio, pixel + 1) - torch.maximum(begin, pixel)
    return (covered.clamp(min=0) / ratio).float()


def _reflected(index: Tensor, length: Tensor) -> Tensor:
    """Indices beyond 0 .. length - 1, reflected about the borders with the outermost pixels repeated."""
    index = index % (2 * length)
    return torch.minimum(index, 2 * length - 1 - index)


def _between(uniform: Tensor, limits: tuple[float, float]) -> Tensor:
    return limits[0] + uniform * (limits[1] - limits[0])


def _below(uniform: Tensor, limit: Tensor) -> Tensor:
    """Integers from 0 to below `limit`, from numbers in [0, 1)."""
    return torch.minimum((uniform * limit).long(), limit - 1)


def _each(values: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1, 1)."""
    return values[:, None, None, None]
