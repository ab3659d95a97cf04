"""What a picture is generated from: noise drawn from the picture's own seed, and points between two pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from restore.networks.generators.spec import GeneratorSpec


def draw(rng: np.random.Generator, spec: GeneratorSpec) -> tuple[Tensor, Tensor | None]:
    """Draw the latent vector (Z) and the pixel noise (N) of one picture from N(0, 1), float32; None for a generator without noise."""
    latent = torch.from_numpy(rng.standard_normal(spec.latent, dtype=np.float32))
    if not spec.pixel_noise:
        return latent, None
    return latent, torch.from_numpy(rng.standard_normal(spec.pixel_noise, dtype=np.float32))


def draw_batch(seeds: Sequence[int], spec: GeneratorSpec) -> tuple[Tensor, Tensor | None]:
    """The noise of several pictures, each a function of its own seed: (B, Z) and (B, N)."""
    drawn = [draw(np.random.default_rng(seed), spec) for seed in seeds]
    noise = [one[1] for one in drawn if one[1] is not None]
    return torch.stack([one[0] for one in drawn]), torch.stack(noise) if noise else None


def interpolate(first: Tensor, second: Tensor, fractions: Tensor) -> Tensor:
    """Points on the great circle from one vector (Z) to another, at fractions (B) in 0..1: (B, Z).

    Spherical interpolation (Shoemake 1985; White 2016): vectors of N(0, 1) lie near a sphere, and the straight line leaves it.
    """
    lengths = first.norm(), second.norm()
    cosine = torch.dot(first / lengths[0], second / lengths[1]).clamp(-1, 1)
    angle = torch.arccos(cosine)
    t = fractions[:, None]
    if angle.sin().abs() < 1e-4:  # on one line
        return torch.lerp(first[None], second[None], t)
    return (torch.sin((1 - t) * angle) * first + torch.sin(t * angle) * second) / torch.sin(angle)
