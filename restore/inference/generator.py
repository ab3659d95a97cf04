"""`Generator`: makes pictures from seeds with a network trained by `restore train gan`, `r3gan`, `fastgan` and the like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from restore import limits, weights
from restore.inference.loading import InferenceOptions, check_task
from restore.networks import generators
from restore.networks.generators import spec
from restore.networks.generators.latent import draw_batch, interpolate
from restore.weights_file import Recipe

BLOCK = 16
"""Pictures that run together. Convolutions of other batch sizes round otherwise, so seeds run in blocks that begin at its multiples."""
TRUNCATION = {"range": (0, 2)}
"""What `limits.number` asks of a truncation."""


class Generator:
    """A generator ready to use. A picture depends on its seed, label and truncation alone, to the last bit on one machine.

    It keeps no state between pictures, so threads may share one.

    Args:
        network: makes pictures.
        recipe: the recipe of its weights.
        options: see `InferenceOptions`; by default those of this machine.

    Attributes:
        labels: the names of the classes; empty without.
        bits: of a sample of the pictures that it was trained on, 8 or 16.
    """

    def __init__(self, network: spec.Generator, recipe: Recipe | None = None, options: InferenceOptions | None = None) -> None:
        self.recipe: Recipe = recipe or {}
        self.runtime = (options or InferenceOptions()).runtime
        self.network = self.runtime.prepare(network.eval().requires_grad_(False))
        self.spec = network.spec
        names = self.recipe.get("labels") or []
        self.labels = tuple(names) if len(names) == self.spec.classes else tuple(str(number) for number in range(self.spec.classes))
        self.bits = 16 if self.recipe.get("bits") == 16 else 8

    @classmethod
    def load(cls, name: str | Path, options: InferenceOptions | None = None) -> Self:
        """A generator with the weights called `name` (a name, a file or a run's folder).

        Raises:
            ValueError: the weights do not exist, or are for another task.
        """
        tensors, recipe = weights.load(weights.find(name).path)
        check_task(recipe, "generate", str(name))
        try:
            network = generators.load(recipe["network"], recipe["settings"], tensors)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        return cls(network.float(), recipe, options)

    def __call__(self, seeds: Sequence[int], label: str | None = None, truncation: float = 1.0) -> np.ndarray:
        """Make a picture from each seed.

        Args:
            seeds: 0 or more each.
            label: a class; by default the seed decides, `labels[seed % len(labels)]`.
            truncation: below 1 the pictures are more alike and more typical (Brock et al. 2019, section 3.1).

        Returns:
            (B, S, S, C) float32 in [0, 1].

        Raises:
            ValueError: the label is none of the generator's, there is no seed, or one is no whole number of at least 0.
        """
        number = self.number(label)
        limits.number("truncation", truncation, TRUNCATION)
        if not isinstance(seeds, Sequence | np.ndarray) or isinstance(seeds, str) or not len(seeds):
            raise ValueError(f"seeds must be a list of at least one, not {limits.format_value(seeds)}")
        if wrong := [seed for seed in seeds if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0]:
            raise ValueError(f"a seed must be a whole number of at least 0, not {limits.format_value(wrong[0])}")
        seeds = [int(seed) for seed in seeds]
        wanted: dict[int, np.ndarray] = {}
        for first in dict.fromkeys(seed // BLOCK * BLOCK for seed in seeds):
            block = range(first, first + BLOCK)
            latent, noise = draw_batch(block, self.spec)
            labels = [number if number is not None else seed % max(1, self.spec.classes) for seed in block]
            pictures = self._run(latent, labels, noise, truncation)
            wanted |= {seed: pictures[seed - first] for seed in set(seeds) & set(block)}
        return np.stack([wanted[seed] for seed in seeds])

    def between(self, first: int, last: int, count: int, label: str | None = None, truncation: float = 1.0) -> Iterator[np.ndarray]:
        """Yield `count` pictures (S, S, C) on the way from one seed's picture to another's; all have the label, or the first seed's.

        Raises:
            ValueError: the label is none of the generator's.
        """
        number = self.number(label)
        limits.number("truncation", truncation, TRUNCATION)
        latent, noise = draw_batch([first, last], self.spec)
        fractions = torch.linspace(0, 1, count)
        for start in range(0, count, BLOCK):
            part = fractions[start : start + BLOCK]
            padded = torch.cat([part, part[-1:].expand(BLOCK - len(part))])
            labels = [number if number is not None else first % max(1, self.spec.classes)] * BLOCK
            pixel_noise = None if noise is None else noise[:1].expand(BLOCK, -1)
            yield from self._run(interpolate(latent[0], latent[1], padded), labels, pixel_noise, truncation)[: len(part)]

    def number(self, label: str | None) -> int | None:
        """The number of a class by its name; None for None.

        Raises:
            ValueError: there is no such class.
        """
        if label is None:
            return None
        if label not in self.labels:
            known = f"there are {', '.join(self.labels)}" if self.labels else "it was trained without classes"
            raise ValueError(f"the generator has no class {limits.format_value(label)}: {known}{limits.nearest(label, self.labels)}")
        return self.labels.index(label)

    @torch.inference_mode()
    def _run(self, latent: Tensor, labels: Sequence[int], noise: Tensor | None, truncation: float) -> np.ndarray:
        runtime = self.runtime
        moved = latent.to(runtime.device, runtime.dtype)
        classes = torch.tensor(labels, device=runtime.device) if self.spec.classes else None
        with runtime.autocast():
            styles = self.network.styles(moved, classes, truncation=truncation)
            pixel_noise = None if noise is None else noise.to(runtime.device, runtime.dtype)
            pictures = self.network.synthesise(styles, pixel_noise)
        pixels: np.ndarray = pictures.float().clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()
        return pixels
