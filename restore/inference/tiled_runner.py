"""Runs pictures through an engine in tiles: precision fallbacks, out-of-memory retries, self-ensemble, blending."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from restore.available_memory import out_of_memory
from restore.inference import instance_statistics, memory, tiling
from restore.inference.arrays import upscale_cubic
from restore.inference.engines import Engine
from restore.inference.instance_statistics import Statistics
from restore.inference.self_ensemble import TRANSFORMS
from restore.inference.tile_faults import FALLBACKS, InferenceInfo, find_fault

log = logging.getLogger(__name__)

Condition = Callable[[slice, slice], np.ndarray]
"""Rows and columns -> the network's condition for this region of the picture, (h, w, K) float32; (h, w, N K) if it differs between the N
transforms of the self-ensemble."""


class TiledRunner:
    """Runs pictures of any size through an engine and adds the network's correction to them.

    Args:
        engine: runs the tiles.
        tile: auto, 0 (no tiles) or the largest side of a tile in pixels. A network with a large receptive field uses larger tiles while
            memory lasts.
        batch_size: tiles that run together.
        ensemble: rotated and flipped copies of every tile whose results are averaged: 1, 2, 4 or 8, for as many times the work (Timofte
            et al. 2016, "Seven ways to improve example-based single image super resolution", section 3.3).

    Raises:
        ValueError: the tile or the ensemble is not one of these.
    """

    def __init__(self, engine: Engine, *, tile: str | int = "auto", batch_size: int = 1, ensemble: int = 1) -> None:
        if ensemble not in {1, 2, 4, 8}:
            raise ValueError(f"ensemble must be 1, 2, 4 or 8, not {ensemble}")
        self.engine, self.spec, self.batch_size = engine, engine.spec, batch_size
        self.transforms = TRANSFORMS[:ensemble]
        self._tile = memory.parse(tile)

    def run(self, picture: np.ndarray, condition: Condition | None, strength: float, precision: str) -> tuple[np.ndarray, InferenceInfo]:
        """Add `strength` times the network's correction to a picture.

        Args:
            picture: (H, W, 1|3) float32 in the range that the network expects.
            condition: the network's condition, for a network that takes one.
            strength: fraction of the correction, 0..1.
            precision: fp32, bf16 or fp16.

        Returns:
            (scale H, scale W, 1|3) float32; and information about the run.

        Raises:
            ValueError: the result is not finite even in fp32.
        """
        longest, values = max(picture.shape[:2]), picture.size * self.spec.scale**2
        tile = self.engine.tile_side(self._tile, picture.shape, values)
        info = InferenceInfo(precision, tile, engine=self.engine.name)
        while True:
            try:
                with self.engine.memory_reuse(values, min(tile, longest)):
                    return self._tiles(picture, condition, strength, tile, info), info
            except (RuntimeError, MemoryError) as error:
                smaller = memory.halved(min(tile, longest))
                if not out_of_memory(error) or smaller is None:
                    raise
                log.warning("out of memory with tiles of %d pixels: continuing with %d", tile, smaller)
                tile = smaller
                info.redone.append(f"out of memory: tile {tile}")
                info.tile = tile
                self.engine.release_memory()

    def _tiles(self, picture: np.ndarray, condition: Condition | None, strength: float, tile: int, info: InferenceInfo) -> np.ndarray:
        height, width, colours = picture.shape
        scale = self.spec.scale
        result = picture.copy() if scale == 1 else np.zeros((scale * height, scale * width, colours), np.float32)
        info.tiles = 0
        common = self._statistics(picture, condition, tile)
        for batch in tiling.batches(tiling.grid(height, width, tile, self.spec.overlap, self.spec.multiple), self.batch_size):
            regions = [(slice(rows.start, rows.stop), slice(columns.start, columns.stop)) for rows, columns in batch]
            tiles = [picture[region] for region in regions]
            maps = [condition(*region) for region in regions] if condition else None
            bases = tiles if scale == 1 else [upscale_cubic(piece, scale) for piece in tiles]
            corrections = self._checked(tiles, bases, maps, info, common)
            info.tiles += len(batch)
            for (rows, columns), base, correction in zip(batch, bases, corrections, strict=True):
                if strength != 1:
                    correction *= np.float32(strength)
                if scale > 1:
                    correction += base
                if rows.weight.min() < 1 or columns.weight.min() < 1:
                    down, across = (tiling.stretched(span.weight, scale) for span in (rows, columns))
                    correction *= (down[:, None] * across[None])[:, :, None]
                elif scale > 1 and correction.shape == result.shape:
                    return correction  # the only tile
                result[scale * rows.start : scale * rows.stop, scale * columns.start : scale * columns.stop] += correction
        return result

    def _statistics(self, picture: np.ndarray, condition: Condition | None, tile: int) -> Statistics | None:
        """The normalisation statistics of a picture that is large or in tiles, for a network that needs those of the whole picture.

        A large picture's statistics come from a sample, with or without tiles, so the tile size does not change the result.
        """
        if not self.spec.sees_whole_image or max(picture.shape[:2]) <= min(tile, instance_statistics.SIDE):
            return None
        common = Statistics(planes=3 if self.spec.channels == 1 and picture.shape[2] == 3 else 1)
        # in float32: an overflow in half precision must not reach every tile
        regions = instance_statistics.sample_regions(picture.shape, self.spec.multiple)
        maps = [condition(*region) for region in regions] if condition else None
        self.engine.run([picture[region] for region in regions], maps, "fp32", self.transforms, common)
        return common

    def _checked(
        self, tiles: Sequence[np.ndarray], bases: Sequence[np.ndarray], maps: Sequence[np.ndarray] | None, info: InferenceInfo,
        common: Statistics | None,
    ) -> list[np.ndarray]:  # fmt: skip
        """The corrections of some tiles. NaN, infinite or constant results of half precision are computed again in a higher one."""
        used = info.precision
        corrections = self.engine.run(tiles, maps, used, self.transforms, common)
        for precision in FALLBACKS[used]:
            fault = next(filter(None, map(find_fault, bases, corrections)), None)
            if fault is None:
                return corrections
            info.redone.append(f"{fault} in {used}: tile {info.tiles} in {precision}")
            log.warning("%s", info.redone[-1])
            used, corrections = precision, self.engine.run(tiles, maps, precision, self.transforms, common)
        if not all(np.isfinite(correction).all() for correction in corrections):
            raise ValueError("the network's result is not finite even in fp32: the weights or the picture's values are unusable")
        return corrections
