"""Penalties on a discriminator's slope, in float32 whatever the precision around them: half precision loses second derivatives."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Discriminator = Callable[[Tensor], Tensor]


def slopes(discriminator: Discriminator, pictures: Tensor) -> Tensor:
    """d sum(D(x)) / dx in float32, kept in the graph, so that a penalty on it can be differentiated; (B, ...)."""
    with torch.autocast(pictures.device.type, enabled=False):
        inputs = pictures.detach().float().requires_grad_(True)
        answers = discriminator(inputs)
        (gradient,) = torch.autograd.grad(answers.sum(), inputs, create_graph=True)
    return gradient


def gradient_penalty(
    discriminator: Discriminator, real: Tensor, made: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """E (|grad D(x)|_2 - 1)^2 on random points x between real and made pictures (Gulrajani et al. 2017, eq. 3).

    Args:
        discriminator: pictures -> logits; it must treat the samples of a batch apart (no batch normalisation).
        real, made: (B, ...) of one shape.
        generator: of the random points; the global one otherwise.
    """
    share = torch.rand(len(real), generator=generator).to(real.device).reshape(-1, *[1] * (real.dim() - 1))
    between = share * real.detach().float() + (1 - share) * made.detach().float()
    norms = slopes(discriminator, between).flatten(1).norm(dim=1)
    return (norms - 1).square().mean()


def r1(discriminator: Discriminator, real: Tensor) -> Tensor:
    """E |grad D(x)|_2^2 / 2 on real pictures (Mescheder et al. 2018, eq. 9, with gamma = 1)."""
    return slopes(discriminator, real).flatten(1).square().sum(dim=1).mean() / 2
