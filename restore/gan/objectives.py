"""What the two players of an adversarial game minimise: one table, `OBJECTIVES`, of pairs of small functions.

Logits are a discriminator's answers of any shape, without a sigmoid; the larger, the more real. Every function averages over all of
them, in float32, and returns a scalar. `target` is the label of real pictures: 1, or less under one-sided label smoothing
(Salimans et al. 2016, section 3.4).
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
        discriminator: (logits of real, logits of made, target) -> the loss that the discriminator minimises.
        generator: (logits of real, logits of made) -> the loss that the generator minimises.
        relative: the generator's loss depends on the logits of real pictures too.
        smooths: `target` means something.
    """

    discriminator: Callable[[Tensor, Tensor, float], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    relative: bool = False
    smooths: bool = True


def binary(logits: Tensor, label: float) -> Tensor:
    """Cross entropy of sigmoid(logits) with a label in 0..1, written so that it cannot overflow."""
    logits = logits.float()
    return (label * F.softplus(-logits) + (1 - label) * F.softplus(logits)).mean()


def vanilla_discriminator(real: Tensor, made: Tensor, target: float = 1.0) -> Tensor:
    """Goodfellow et al. 2014, eq. 1: -E log D(x) - E log(1 - D(G(z)))."""
    return binary(real, target) + binary(made, 0.0)


def vanilla_generator(real: Tensor, made: Tensor) -> Tensor:
    """Goodfellow et al. 2014, section 3, the non-saturating form: -E log D(G(z))."""
    return binary(made, 1.0)


def least_squares_discriminator(real: Tensor, made: Tensor, target: float = 1.0) -> Tensor:
    """Mao et al. 2017, eq. 9 with a = 0, b = 1: (E (D(x) - 1)^2 + E D(G(z))^2) / 2."""
    return ((real.float() - target).square().mean() + made.float().square().mean()) / 2


def least_squares_generator(real: Tensor, made: Tensor) -> Tensor:
    """Zhu et al. 2017 (CycleGAN), section 4: E (D(G(z)) - 1)^2; twice Mao's, so that published loss weights hold."""
    return (made.float() - 1).square().mean()


def hinge_discriminator(real: Tensor, made: Tensor, target: float = 1.0) -> Tensor:
    """Lim and Ye 2017; Miyato et al. 2018, eq. 16: E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))."""
    return F.relu(target - real.float()).mean() + F.relu(1 + made.float()).mean()


def hinge_generator(real: Tensor, made: Tensor) -> Tensor:
    """Miyato et al. 2018, eq. 17: -E D(G(z))."""
    return -made.float().mean()


def wasserstein_discriminator(real: Tensor, made: Tensor, target: float = 1.0) -> Tensor:
    """Arjovsky et al. 2017, eq. 3: E D(G(z)) - E D(x), for a critic held near Lipschitz by `penalties.gradient_penalty`."""
    return made.float().mean() - real.float().mean()


def wasserstein_generator(real: Tensor, made: Tensor) -> Tensor:
    """Arjovsky et al. 2017: -E D(G(z))."""
    return -made.float().mean()


def relativistic_discriminator(real: Tensor, made: Tensor, target: float = 1.0) -> Tensor:
    """Jolicoeur-Martineau 2018, eq. 15: cross entropy of D(x) - E D(G(z)) and D(G(z)) - E D(x)."""
    real, made = real.float(), made.float()
    return binary(real - made.mean(), target) + binary(made - real.mean(), 0.0)


def relativistic_generator(real: Tensor, made: Tensor) -> Tensor:
    """Jolicoeur-Martineau 2018, eq. 16: the discriminator's with the roles exchanged."""
    return relativistic_discriminator(made, real)


OBJECTIVES: Mapping[str, Objective] = {
    "vanilla": Objective(vanilla_discriminator, vanilla_generator),
    "least_squares": Objective(least_squares_discriminator, least_squares_generator),
    "hinge": Objective(hinge_discriminator, hinge_generator),
    "wasserstein": Objective(wasserstein_discriminator, wasserstein_generator, smooths=False),
    "relativistic": Objective(relativistic_discriminator, relativistic_generator, relative=True),
}


def find(name: str, *, target: float = 1.0) -> Objective:
    """The objective called `name`.

    Raises:
        ValueError: no such objective, a target outside 0.5..1, or one for an objective without labels.
    """
    if name not in OBJECTIVES:
        raise ValueError(f"unknown adversarial objective {name!r}: there are {', '.join(OBJECTIVES)}")
    if not 0.5 <= target <= 1:
        raise ValueError(f"the label of real pictures must be in 0.5..1, not {target}")
    if target < 1 and not OBJECTIVES[name].smooths:
        raise ValueError(f"{name} has no labels to smooth: set label_smoothing to 0")
    return OBJECTIVES[name]


def exchange(real: Tensor, made: Tensor, share: float, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Label noise: hand the discriminator some pairs of samples with their labels exchanged (Chintala et al. 2016, hack 6).

    Args:
        real, made: logits, batch first, of one shape.
        share: chance of each sample.
        generator: where the chance comes from; the global one otherwise.
    """
    if share <= 0:
        return real, made
    swapped = torch.rand(len(real), generator=generator).lt(share).to(real.device)
    swapped = swapped.reshape(-1, *[1] * (real.dim() - 1))
    return torch.where(swapped, made, real), torch.where(swapped, real, made)
