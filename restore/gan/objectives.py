"""What a discriminator and a generator minimise: one table, `OBJECTIVES`, of pairs of small functions.

Logits are a discriminator's outputs of any shape, without a sigmoid; larger is more real. Every function averages over all of them, in
float32, and returns a scalar. `real_label` is the label of real images: 1, or less under one-sided label smoothing (Salimans et al.
2016, section 3.4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Objective:
    """One row of OBJECTIVES.

    Attributes:
        discriminator: (logits of real, logits of fake, real label) -> the discriminator's loss.
        generator: (logits of real, logits of fake) -> the generator's loss.
        relative: the generator's loss depends on the logits of real images too.
        has_labels: `real_label` has an effect.
        can_be_won: a discriminator that separates all images leaves the generator little gradient; a critic should separate them.
    """

    discriminator: Callable[[Tensor, Tensor, float], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    relative: bool = False
    has_labels: bool = True
    can_be_won: bool = True


def binary(logits: Tensor, label: float) -> Tensor:
    """Cross entropy of sigmoid(logits) with a label in 0..1, written so that it cannot overflow."""
    logits = logits.float()
    return (label * F.softplus(-logits) + (1 - label) * F.softplus(logits)).mean()


def vanilla_discriminator(real: Tensor, fake: Tensor, real_label: float = 1.0) -> Tensor:
    """Goodfellow et al. 2014, eq. 1: -E log D(x) - E log(1 - D(G(z)))."""
    return binary(real, real_label) + binary(fake, 0.0)


def vanilla_generator(real: Tensor, fake: Tensor) -> Tensor:
    """Goodfellow et al. 2014, section 3, the non-saturating form: -E log D(G(z))."""
    return binary(fake, 1.0)


def saturating_generator(real: Tensor, fake: Tensor) -> Tensor:
    """Goodfellow et al. 2014, eq. 1: E log(1 - D(G(z))), whose gradient vanishes while the discriminator is sure."""
    return -F.softplus(fake.float()).mean()


def least_squares_discriminator(real: Tensor, fake: Tensor, real_label: float = 1.0) -> Tensor:
    """Mao et al. 2017, eq. 9 with a = 0, b = 1: (E (D(x) - 1)^2 + E D(G(z))^2) / 2."""
    return ((real.float() - real_label).square().mean() + fake.float().square().mean()) / 2


def least_squares_generator(real: Tensor, fake: Tensor) -> Tensor:
    """Zhu et al. 2017 (CycleGAN), section 4: E (D(G(z)) - 1)^2; twice Mao's, so that published loss weights hold."""
    return (fake.float() - 1).square().mean()


def hinge_discriminator(real: Tensor, fake: Tensor, real_label: float = 1.0) -> Tensor:
    """Lim and Ye 2017; Miyato et al. 2018, eq. 16: E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))."""
    return F.relu(real_label - real.float()).mean() + F.relu(1 + fake.float()).mean()


def hinge_generator(real: Tensor, fake: Tensor) -> Tensor:
    """Miyato et al. 2018, eq. 17: -E D(G(z))."""
    return -fake.float().mean()


def wasserstein_discriminator(real: Tensor, fake: Tensor, real_label: float = 1.0) -> Tensor:
    """Arjovsky et al. 2017, eq. 3: E D(G(z)) - E D(x), for a critic held near Lipschitz by `penalties.gradient_penalty`."""
    return fake.float().mean() - real.float().mean()


def wasserstein_generator(real: Tensor, fake: Tensor) -> Tensor:
    """Arjovsky et al. 2017: -E D(G(z))."""
    return -fake.float().mean()


def relativistic_discriminator(real: Tensor, fake: Tensor, real_label: float = 1.0) -> Tensor:
    """Jolicoeur-Martineau 2018, eq. 15: cross entropy of D(x) - E D(G(z)) and D(G(z)) - E D(x)."""
    real, fake = real.float(), fake.float()
    return binary(real - fake.mean(), real_label) + binary(fake - real.mean(), 0.0)


def relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """Jolicoeur-Martineau 2018, eq. 16: the discriminator's with real and fake swapped."""
    return relativistic_discriminator(fake, real)


def pairing_discriminator(real: Tensor, fake: Tensor, real_label: float = 1.0) -> Tensor:
    """Jolicoeur-Martineau 2018, eq. 3; Huang et al. 2024 (R3GAN), eq. 2: -E log sigmoid(D(x_i) - D(G(z_i))), real i with fake i."""
    return F.softplus(fake.float() - real.float()).mean()


def pairing_generator(real: Tensor, fake: Tensor) -> Tensor:
    """Huang et al. 2024 (R3GAN), eq. 2: -E log sigmoid(D(G(z_i)) - D(x_i))."""
    return pairing_discriminator(fake, real)


OBJECTIVES: Mapping[str, Objective] = {
    "vanilla": Objective(vanilla_discriminator, vanilla_generator),
    "saturating": Objective(vanilla_discriminator, saturating_generator),
    "least_squares": Objective(least_squares_discriminator, least_squares_generator),
    "hinge": Objective(hinge_discriminator, hinge_generator),
    "wasserstein": Objective(wasserstein_discriminator, wasserstein_generator, has_labels=False, can_be_won=False),
    "relativistic": Objective(relativistic_discriminator, relativistic_generator, relative=True),
    "relativistic_pairing": Objective(pairing_discriminator, pairing_generator, relative=True, has_labels=False),
}


def find(name: str, *, real_label: float = 1.0) -> Objective:
    """Return the objective called `name`.

    Raises:
        ValueError: no such objective, a label outside 0.5..1, or a smoothed label for an objective without labels.
    """
    if name not in OBJECTIVES:
        raise ValueError(f"unknown adversarial objective {name!r}: there are {', '.join(OBJECTIVES)}")
    if not 0.5 <= real_label <= 1:
        raise ValueError(f"the label of real images must be in 0.5..1, not {real_label}")
    if real_label < 1 and not OBJECTIVES[name].has_labels:
        raise ValueError(f"{name} has no labels to smooth: set label_smoothing to 0")
    return OBJECTIVES[name]


def flip_labels(real: Tensor, fake: Tensor, fraction: float, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Label noise: flip the labels of some pairs of samples (Chintala et al. 2016, hack 6).

    Args:
        real, fake: logits, batch first, of one shape.
        fraction: probability of each sample.
        generator: of the draws; the global one by default.
    """
    if fraction <= 0:
        return real, fake
    flipped = torch.rand(len(real), generator=generator).lt(fraction).to(real.device)
    flipped = flipped.reshape(-1, *[1] * (real.dim() - 1))
    return torch.where(flipped, fake, real), torch.where(flipped, real, fake)
