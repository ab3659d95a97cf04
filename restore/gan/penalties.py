"""Penalties on a discriminator's gradient, in float32 whatever the precision around them: half precision loses second derivatives."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Discriminator = Callable[[Tensor], Tensor]


def input_gradient(discriminator: Discriminator, images: Tensor) -> Tensor:
    """d sum(D(x)) / dx in float32, (B, ...); kept in the graph, so that a penalty on it can be differentiated."""
    with torch.autocast(images.device.type, enabled=False):
        inputs = images.detach().float().requires_grad_(True)
        logits = discriminator(inputs)
        (gradient,) = torch.autograd.grad(logits.sum(), inputs, create_graph=True)
    return gradient


def gradient_penalty(discriminator: Discriminator, real: Tensor, fake: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """E (|grad D(x)|_2 - 1)^2 at random points x between real and fake images (Gulrajani et al. 2017, eq. 3).

    Args:
        discriminator: images -> logits; it must treat the samples of a batch separately (no batch normalisation).
        real, fake: (B, ...) of one shape.
        generator: of the random points; the global one by default.
    """
    fraction = torch.rand(len(real), generator=generator).to(real.device).reshape(-1, *[1] * (real.dim() - 1))
    between = fraction * real.detach().float() + (1 - fraction) * fake.detach().float()
    norms: Tensor = input_gradient(discriminator, between).flatten(1).norm(dim=1)
    return (norms - 1).square().mean()


def r1(discriminator: Discriminator, real: Tensor) -> Tensor:
    """E |grad D(x)|_2^2 / 2 on real images (Mescheder et al. 2018, eq. 9, with gamma = 1)."""
    return input_gradient(discriminator, real).flatten(1).square().sum(dim=1).mean() / 2


def squared_gradient(logits: Tensor, images: Tensor) -> Tensor:
    """E |grad D(x)|_2^2 / 2, where `logits` (B, ...) were computed from `images` (B, ...) in float32.

    At real images it is R1 (Mescheder et al. 2018, eq. 9), at generated ones R2 (eq. 10). It takes the pass that the adversarial loss
    makes anyway.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.flatten(1).square().sum(dim=1).mean() / 2


def path_lengths(images: Tensor, styles: Tensor, direction: Tensor) -> Tensor:
    """|J_w^T y|_2 of each picture, (B) (Karras et al. 2020, StyleGAN2, section 3.2, eq. 4).

    Args:
        images: (B, C, H, W), computed from `styles` in float32.
        styles: (B, layers, W).
        direction: y, (B, C, H, W), drawn from N(0, 1); it is divided by sqrt(H W), so that the length does not depend on the resolution.
    """
    area = images.shape[2] * images.shape[3]
    (gradient,) = torch.autograd.grad((images * direction).sum() / area**0.5, styles, create_graph=True)
    return gradient.square().sum(2).mean(1).sqrt()
