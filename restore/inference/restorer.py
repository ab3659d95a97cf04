"""`Restorer`: a network ready to use. It owns padding, tiles, gray / RGB / alpha, precision, out-of-memory and the clamp."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor, nn

from restore import networks, runtime, weights
from restore.images.frame import filled
from restore.images.noise import NoiseLevel
from restore.inference import exclusions, mats, means, memory, statistics, tiling
from restore.inference.arrays import eight_bits, enlarged, fitted_back, fitting, floats, padded, stored, tensor
from restore.inference.faults import FALLBACKS, Trace, fault_of
from restore.inference.noise import Estimate, level_of
from restore.inference.ranges import NARROW, NARROW_OF_OTHERS, Range, range_of
from restore.inference.statistics import Statistics
from restore.inference.views import VIEWS, averaged
from restore.machine import out_of_memory
from restore.networks.inpainter import HOLE
from restore.networks.spec import RestorationNetwork
from restore.runtime import Runtime

log = logging.getLogger(__name__)

ROUNDING = 1.0
"""Standard deviation (of 255, in the network's range) below which bf16's rounding is no longer small beside the noise: in flat areas it
leaves 0.33 of a sigma of 1, float32 0.20."""

Condition = Callable[[slice, slice], np.ndarray]
"""Rows and columns -> the map (h, w, 1) float32 that a network takes beside that piece of the picture."""


class Restorer:
    """A correction network with the recipe of its weights. It holds no state of a picture, so threads may share one.

    Args:
        network: maps (B, C, H, W) and, if it takes conditions, (B, K, H, W) to a correction of the picture's shape.
        recipe: the weights' recipe (`task`, `network`, `settings` ...).
        place: device and precision; by default the best of this machine.
        tile: auto, 0 (never cut) or the largest side of a tile in pixels; networks that see further take larger ones while memory lasts.
        batch_size: tiles that run together.
        ensemble: 1, 2, 4 or 8 turned and mirrored views of every tile are restored and averaged, for as many times the work
            (Timofte et al. 2016, "Seven ways to improve example-based single image super resolution", section 3.3).
    """

    def __init__(
        self,
        network: RestorationNetwork,
        recipe: dict[str, Any] | None = None,
        *,
        place: Runtime | None = None,
        tile: str | int = "auto",
        batch_size: int = 1,
        ensemble: int = 1,
    ) -> None:
        self.recipe = recipe or {}
        self.place = place or runtime.choose()
        spec = network.spec
        self.channels, self.multiple, self.scale, self.homogeneous = spec.channels, spec.multiple, spec.scale, spec.homogeneous
        self.takes_mask, self.takes_noise = spec.takes_mask, spec.takes_noise
        self.batch_size = batch_size
        if ensemble not in {1, 2, 4, 8}:
            raise ValueError(f"ensemble must be 1, 2, 4 or 8, not {ensemble}")
        self.views = VIEWS[:ensemble]
        self._master = copy.deepcopy(network).float().eval().requires_grad_(False)
        self._sees_all = statistics.pool(self._master)
        self._overlap = spec.overlap
        self._placed: dict[str, nn.Module] = {}
        self._lock = threading.Lock()
        self._tile = memory.parse(tile)

    @classmethod
    def load(cls, name: str | Path, *, direction: str | None = None, **settings: Any) -> Restorer:
        """A restorer from weights given by name, file or run folder; `settings` go to the constructor.

        Args:
            direction: which network of a file that holds several (`forward`, `backward`); the first by default.

        Raises:
            ValueError: no such weights or direction, or a file that is none.
        """
        tensors, recipe = weights.load(weights.find(name).path)
        try:
            network = networks.load(recipe["network"], recipe["settings"], weights.select_network(tensors, recipe, direction))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        return cls(network, recipe, **settings)

    @property
    def signal_dependent(self) -> bool:
        """Whether these weights were made for noise that grows with the signal (X-rays)."""
        return signal_dependent(self.recipe)

    @overload
    def __call__(
        self, picture: np.ndarray, noise_level: NoiseLevel | float | None = ..., strength: float = ...
    ) -> np.ndarray: ...
    @overload
    def __call__(
        self, picture: Tensor, noise_level: NoiseLevel | float | None = ..., strength: float = ...
    ) -> Tensor: ...
    def __call__(
        self, picture: np.ndarray | Tensor, noise_level: NoiseLevel | float | None = None, strength: float = 1.0
    ) -> np.ndarray | Tensor:
        """Restore a picture.

        Args:
            picture: an array (H, W) or (H, W, C), C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha, integers over their
                type's full range or floats in nominal [0, 1]; or a tensor (B, C, H, W) in nominal [0, 1].
            noise_level: standard deviation on the 0..255 scale or a NoiseLevel; None estimates it from each picture.
            strength: share of the correction that is applied, 0..1.

        Returns:
            The same kind and type; integers clamped to their range, alpha as it was. The same shape, too, or `scale` times the
            height and width where the network enlarges, alpha enlarged by the cubic kernel.

        Raises:
            ValueError: a shape or type that is no picture.
        """
        if isinstance(picture, Tensor):
            if picture.dim() != 4 or not picture.is_floating_point():
                raise ValueError(
                    f"a tensor must be (B, C, H, W) of floats, not {tuple(picture.shape)} of {picture.dtype}"
                )
            restored = [
                self(item.detach().permute(1, 2, 0).float().cpu().numpy(), noise_level, strength) for item in picture
            ]
            return torch.stack([torch.from_numpy(item).permute(2, 0, 1) for item in restored]).to(picture)
        return self._array(picture, noise_level, strength)

    def _array(self, picture: np.ndarray, noise_level: NoiseLevel | float | None, strength: float) -> np.ndarray:
        shape = picture.shape
        if picture.ndim == 2:
            picture = picture[:, :, None]
        if picture.ndim != 3 or picture.shape[2] not in {1, 2, 3, 4} or 0 in picture.shape:
            raise ValueError(f"a picture must be (H, W) or (H, W, C) with 1 to 4 channels, not {shape}")
        if picture.dtype.kind not in "uif":
            raise ValueError(f"a picture must hold integers or floats, not {picture.dtype}")
        colours = 1 if picture.shape[2] < 3 else 3
        values = floats(picture[:, :, :colours])
        finite = np.isfinite(values).all(axis=2)
        valid = None if finite.all() else finite
        seen = values if valid is None else filled(np.where(finite[:, :, None], values, 0), finite)
        restored, _ = self.restore(seen, noise_level, strength, valid=valid)
        if valid is not None and self.scale == 1:
            restored[~finite] = values[~finite]
        out = np.empty((*restored.shape[:2], picture.shape[2]), picture.dtype)
        out[:, :, :colours] = stored(restored, picture.dtype)
        alpha = picture[:, :, colours:]
        if alpha.size:
            out[:, :, colours:] = alpha if self.scale == 1 else stored(enlarged(floats(alpha), self.scale), picture.dtype)
        return out[:, :, 0] if len(shape) == 2 else out

    def restore(
        self, shown: np.ndarray, noise_level: Estimate | NoiseLevel | float | None = None, strength: float = 1.0, *,
        mask: np.ndarray | None = None, valid: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Trace]:  # fmt: skip
        """Restore what is shown of a picture, unclamped.

        Args:
            shown: (H, W, 1|3) float32, nominal [0, 1].
            noise_level: see `__call__`; an Estimate of the picture's own saves making it anew.
            strength: see `__call__`.
            valid: (H, W) bool, where it is a picture (see `Frame.valid`); None where all of it is.
            mask: (H, W) bool, true where the picture is missing; for networks that fill holes, who need one.

        Returns:
            (H, W, 1|3) float32, or `scale` times as high and wide, and how it went.

        Raises:
            ValueError: a network that fills holes without a mask of the picture's size, or a mask for another network.
        """
        if self.takes_mask != (mask is not None) or (mask is not None and mask.shape != shown.shape[:2]):
            raise ValueError("a mask of the picture's height and width belongs to networks that fill holes, and to them alone")
        found = self.noise_level(shown, noise_level, valid)
        level = found.level if isinstance(found, Estimate) else found
        aside = self._aside(shown, level, valid)
        if aside is None or self.scale > 1:
            return self._restored(shown, found, strength, mask, aside)
        inner = mats.inner(aside)
        restored, rest = shown.copy(), aside[inner]
        picture = np.ascontiguousarray(shown[inner])
        restored[inner], trace = self._restored(picture, found, strength, mask, rest if rest.any() else None)
        return restored, trace

    def _restored(
        self, shown: np.ndarray, found: Estimate | NoiseLevel, strength: float, mask: np.ndarray | None, aside: np.ndarray | None
    ) -> tuple[np.ndarray, Trace]:
        """`restore` for a picture whose noise level and whose parts (H, W) bool to set aside are known."""
        level = found.level if isinstance(found, Estimate) else found
        picture = shown if aside is None else exclusions.continued(shown, aside, level)
        span = range_of(picture, level, homogeneous=self.homogeneous, narrow=self._narrow(picture))
        seen = span.into(picture)
        if mask is not None:
            seen = np.where(mask[:, :, None], np.float32(HOLE), seen)
        strength *= self.confidence(found, span)
        restored, trace = self._run(seen, self._condition(picture, level, mask, span), strength, self._precision(picture, level, span))
        if self.scale == 1 and not span.plain:
            # on top of the picture itself, whose precision is finer than that of what the network saw
            restored -= seen
            restored *= np.float32(span.span)
            restored += picture
        else:
            restored = span.back(restored)
        if self.takes_noise and self.scale == 1:
            means.keep(picture, restored, level, strength)
        if aside is not None and self.scale == 1:
            restored[aside] = shown[aside]
        return restored, trace

    def _aside(self, shown: np.ndarray, level: NoiseLevel, valid: np.ndarray | None) -> np.ndarray | None:
        """(H, W) bool, where a denoiser leaves the picture as it is; None for nowhere."""
        if not self.takes_noise:
            return None
        found = exclusions.find(shown, level)
        if valid is None or not valid.any():
            return found
        return ~valid if found is None else ~valid | found

    def _run(self, seen: np.ndarray, condition: Condition | None, strength: float, precision: str) -> tuple[np.ndarray, Trace]:
        """Put a picture through the network in tiles that memory holds, smaller ones where it does not."""
        longest, values = max(seen.shape[:2]), seen.size * self.scale**2
        tile = memory.tile_side(self._tile, seen.shape, values, self._master, self.place, overlap=self._overlap)
        trace = Trace(precision, tile)
        while True:
            try:
                with memory.kept(values, min(tile, longest), self.place.device):
                    return self._tiles(seen, condition, strength, tile, trace), trace
            except (RuntimeError, MemoryError) as error:
                smaller = memory.halved(min(tile, longest))
                if not out_of_memory(error) or smaller is None:
                    raise
                log.warning("out of memory with tiles of %d pixels: going on with %d", tile, smaller)
                tile = smaller
                trace.redone.append(f"out of memory: tile {tile}")
                trace.tile = tile
                if self.place.device.type == "cuda":
                    torch.cuda.empty_cache()

    def _narrow(self, shown: np.ndarray) -> float:
        """The range under which a picture is widened to [0, 1].

        Not before a translation, whose result is in another range; nor where 8 bits were all there was, whose steps would become texture.
        """
        if self.homogeneous:
            return NARROW
        return NARROW_OF_OTHERS if self.scale > 1 and not eight_bits(shown) else 0.0

    def _precision(self, shown: np.ndarray, level: NoiseLevel, span: Range) -> str:
        """The precision to work in: float32 where the noise, in the range that the network sees, would drown in the eight bits of bf16.

        A picture that was stored with 8 bits has lost as much itself, and is not worth the time.
        """
        sigma = level.sigma() / span.span
        drowns = self.place.precision == "bf16" and self.takes_noise and 0 < sigma < ROUNDING
        return "fp32" if drowns and not eight_bits(shown) else self.place.precision

    def _condition(self, shown: np.ndarray, level: NoiseLevel, mask: np.ndarray | None, span: Range) -> Condition | None:
        """The map that the network takes beside the picture, made piece by piece: a whole one would cost a large picture's memory."""
        if mask is not None:
            return lambda rows, columns: mask[rows, columns, None].astype(np.float32)
        if not self.takes_noise:
            return None
        return lambda rows, columns: level.map(shown[rows, columns]) / np.float32(span.span)

    def noise_level(
        self, shown: np.ndarray, noise_level: Estimate | NoiseLevel | float | None, valid: np.ndarray | None = None
    ) -> Estimate | NoiseLevel:
        """The level to work with: the one given (a number is Gaussian sigma of 255), or the picture's own by estimate."""
        if not self.takes_noise:
            return NoiseLevel()
        return level_of(shown, noise_level, valid)

    def confidence(self, level: Estimate | NoiseLevel, span: Range) -> float:
        """The fraction of the correction to apply: see `Estimate.confidence`. Specified levels and radiographs' estimates are trusted."""
        return level.confidence(span.span) if isinstance(level, Estimate) and not self.signal_dependent else 1.0

    def _tiles(self, shown: np.ndarray, condition: Condition | None, strength: float, tile: int, trace: Trace) -> np.ndarray:
        height, width, colours = shown.shape
        scale = self.scale
        result = shown.copy() if scale == 1 else np.zeros((scale * height, scale * width, colours), np.float32)
        trace.tiles = 0
        common = self._statistics(shown, condition, tile)
        for batch in tiling.batches(tiling.grid(height, width, tile, self._overlap, self.multiple), self.batch_size):
            places = [(slice(rows.start, rows.stop), slice(columns.start, columns.stop)) for rows, columns in batch]
            pieces = [shown[place] for place in places]
            maps = [condition(*place) for place in places] if condition else None
            bases = pieces if scale == 1 else [enlarged(piece, scale) for piece in pieces]
            corrections = self._checked(pieces, bases, maps, trace, common)
            trace.tiles += len(batch)
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

    def _statistics(self, shown: np.ndarray, condition: Condition | None, tile: int) -> Statistics | None:
        """What the normalisations of a network that sees the whole picture find in one that is large, or is cut.

        Of a large picture it is a sample's, cut or not, so that the tiles' size does not change what comes out.
        """
        if not self._sees_all or max(shown.shape[:2]) <= min(tile, statistics.SIDE):
            return None
        common = Statistics(planes=3 if self.channels == 1 and shown.shape[2] == 3 else 1)
        # a float32 pass: an overflow in half precision must not reach every tile
        places = statistics.places(shown.shape, self.multiple)
        self._correct([shown[place] for place in places], [condition(*place) for place in places] if condition else None, "fp32", common)
        return common

    def _checked(
        self, pieces: list[np.ndarray], bases: list[np.ndarray], maps: list[np.ndarray] | None, trace: Trace, common: Statistics | None
    ) -> list[np.ndarray]:
        """The corrections of some tiles, redone in higher precision where half precision made one NaN, infinite or constant."""
        used = trace.precision
        corrections = self._correct(pieces, maps, used, common)
        for precision in FALLBACKS[used]:
            fault = next(filter(None, map(fault_of, bases, corrections)), None)
            if fault is None:
                return corrections
            trace.redone.append(f"{fault} in {used}: tile {trace.tiles} in {precision}")
            log.warning("%s", trace.redone[-1])
            used, corrections = precision, self._correct(pieces, maps, precision, common)
        if not all(np.isfinite(correction).all() for correction in corrections):
            raise ValueError(
                "the network's result is not finite even in fp32: the weights or the picture's values are unusable"
            )
        return corrections

    @torch.inference_mode()
    def _correct(
        self, pieces: list[np.ndarray], maps: list[np.ndarray] | None, precision: str, common: Statistics | None = None
    ) -> list[np.ndarray]:
        """Run the network on tiles of one shape together: each (H, W, C) -> correction (H, W, C) float32."""
        network, place = self._network(precision), self.place.in_precision(precision)
        height, width, colours = pieces[0].shape
        fitted = fitting(tensor(pieces), None if maps is None else tensor(maps), self.channels)
        inputs = [
            padded(one, self.multiple).to(place.device, place.dtype).contiguous(memory_format=place.memory_format) for one in fitted
        ]
        total = averaged(network, inputs, self.views, place, common)
        correction = fitted_back(total[..., : self.scale * height, : self.scale * width].cpu(), colours)
        return [np.ascontiguousarray(item.permute(1, 2, 0).numpy()) for item in correction]

    def _network(self, precision: str) -> nn.Module:
        with self._lock:
            if precision not in self._placed:
                self._placed[precision] = self.place.in_precision(precision).prepare(copy.deepcopy(self._master))
            return self._placed[precision]


def signal_dependent(recipe: dict[str, Any]) -> bool:
    """Whether a recipe trained mostly on noise that grows with the signal, as X-rays'."""
    return bool(recipe.get("training", {}).get("noise", {}).get("poisson_share", 0) > 0.5)
