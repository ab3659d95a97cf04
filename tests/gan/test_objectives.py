"""Each objective against its formula written out in float64, values and gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from restore.gan import objectives, penalties
from restore.gan.objectives import OBJECTIVES

Formula = Callable[[np.ndarray, np.ndarray], float]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _relative(real: np.ndarray, fake: np.ndarray) -> float:
    return float(-np.log(_sigmoid(real - fake.mean())).mean() - np.log(1 - _sigmoid(fake - real.mean())).mean())


WRITTEN: dict[str, tuple[Formula, Formula]] = {
    "vanilla": (
        lambda r, f: float(-np.log(_sigmoid(r)).mean() - np.log(1 - _sigmoid(f)).mean()),
        lambda r, f: float(-np.log(_sigmoid(f)).mean()),
    ),
    "saturating": (
        lambda r, f: float(-np.log(_sigmoid(r)).mean() - np.log(1 - _sigmoid(f)).mean()),
        lambda r, f: float(np.log(1 - _sigmoid(f)).mean()),
    ),
    "least_squares": (
        lambda r, f: float(0.5 * ((r - 1) ** 2).mean() + 0.5 * (f**2).mean()),
        lambda r, f: float(((f - 1) ** 2).mean()),
    ),
    "hinge": (
        lambda r, f: float(np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean()),
        lambda r, f: float(-f.mean()),
    ),
    "wasserstein": (lambda r, f: float(f.mean() - r.mean()), lambda r, f: float(-f.mean())),
    "relativistic": (_relative, lambda r, f: _relative(f, r)),
    "relativistic_pairing": (
        lambda r, f: float(-np.log(_sigmoid(r - f)).mean()),
        lambda r, f: float(-np.log(_sigmoid(f - r)).mean()),
    ),
}


def _numeric(function: Formula, real: np.ndarray, fake: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Central differences in float64."""
    slopes = []
    for which in (0, 1):
        inputs = [real.copy(), fake.copy()]
        slope = np.zeros_like(inputs[which])
        for index in np.ndindex(slope.shape):
            kept = inputs[which][index]
            inputs[which][index] = kept + 1e-5
            above = function(*inputs)
            inputs[which][index] = kept - 1e-5
            slope[index] = (above - function(*inputs)) / 2e-5
            inputs[which][index] = kept
        slopes.append(slope)
    return slopes[0], slopes[1]


def test_every_row_is_written_out() -> None:
    assert OBJECTIVES.keys() == WRITTEN.keys()


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
@pytest.mark.parametrize("role", ["discriminator", "generator"])
def test_values_and_gradients_are_the_formulas(name: str, role: str) -> None:
    rng = np.random.default_rng(0)
    real, fake = rng.normal(0.5, 1.5, (3, 4)), rng.normal(-0.5, 1.5, (3, 4))
    formula = WRITTEN[name][role == "generator"]
    tensors = [torch.tensor(values, dtype=torch.float32, requires_grad=True) for values in (real, fake)]
    row = OBJECTIVES[name]
    loss = row.discriminator(*tensors, 1.0) if role == "discriminator" else row.generator(*tensors)
    loss.backward()
    assert loss.item() == pytest.approx(formula(real, fake), rel=1e-5)
    for tensor, slope in zip(tensors, _numeric(formula, real, fake), strict=True):
        found = np.zeros_like(slope) if tensor.grad is None else tensor.grad.numpy()
        np.testing.assert_allclose(found, slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_huge_logits_stay_finite(name: str) -> None:
    real, fake = torch.tensor([1e4, -1e4]), torch.tensor([-1e4, 1e4])
    row = OBJECTIVES[name]
    assert torch.isfinite(row.discriminator(real, fake, 1.0))
    assert torch.isfinite(row.generator(real, fake))


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_half_precision_logits_give_a_float32_loss(name: str) -> None:
    logits = torch.randn(2, 5, dtype=torch.bfloat16)
    assert OBJECTIVES[name].discriminator(logits, logits, 1.0).dtype == torch.float32
    assert OBJECTIVES[name].generator(logits, logits).dtype == torch.float32


@pytest.mark.parametrize("name", [name for name, row in OBJECTIVES.items() if row.has_labels and not row.relative and name != "hinge"])
def test_smoothing_moves_the_best_answer_for_real_pictures_below_certainty(name: str) -> None:
    answer = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.Adam([answer], 0.05)
    fake = torch.tensor([-3.0])
    for _ in range(400):
        optimizer.zero_grad()
        OBJECTIVES[name].discriminator(answer[None], fake, 0.9).backward()
        optimizer.step()
    certainty = torch.sigmoid(answer) if name in {"vanilla", "saturating"} else answer
    assert float(certainty.detach()) == pytest.approx(0.9, abs=0.01)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'wgan'.*wasserstein"):
        objectives.find("wgan")
    with pytest.raises(ValueError, match="no labels"):
        objectives.find("wasserstein", real_label=0.9)
    with pytest.raises(ValueError, match=r"0\.5"):
        objectives.find("vanilla", real_label=0.1)


def test_label_noise_exchanges_its_share_of_pairs() -> None:
    real, fake = torch.ones(2000, 1, 2, 2), torch.zeros(2000, 1, 2, 2)
    first, second = objectives.flip_labels(real, fake, 0.25, torch.Generator().manual_seed(0))
    torch.testing.assert_close(first + second, torch.ones_like(first))
    assert float((1 - first).mean()) == pytest.approx(0.25, abs=0.03)
    assert float(first.flatten(1).std(dim=1).max()) == 0  # a sample is exchanged whole
    assert objectives.flip_labels(real, fake, 0.0)[0] is real


def _critic(x: torch.Tensor) -> torch.Tensor:
    """A critic whose slope can be written down: sum of x^3 / 3, so d/dx = x^2."""
    return (x**3).flatten(1).sum(1) / 3


def test_penalties_are_the_formulas() -> None:
    real, fake = torch.rand(4, 3, 5, 5), torch.rand(4, 3, 5, 5)
    squares = (real.double() ** 4).flatten(1).sum(1)
    assert penalties.r1(_critic, real).item() == pytest.approx(float(squares.mean() / 2), rel=1e-5)
    generator = torch.Generator().manual_seed(5)
    found = penalties.gradient_penalty(_critic, real, fake, generator)
    fraction = torch.rand(4, generator=torch.Generator().manual_seed(5)).double().reshape(-1, 1, 1, 1)
    between = fraction * real.double() + (1 - fraction) * fake.double()
    expected = (((between**4).flatten(1).sum(1)).sqrt() - 1).square().mean()
    assert found.item() == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_penalties_are_float32_under_autocast(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    critic = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.LeakyReLU(0.2), torch.nn.Conv2d(8, 1, 3))
    real, fake = torch.rand(2, 1, 12, 12), torch.rand(2, 1, 12, 12)

    def both() -> list[torch.Tensor]:
        losses = [
            penalties.r1(critic, real),
            penalties.gradient_penalty(critic, real, fake, torch.Generator().manual_seed(0)),
        ]
        critic.zero_grad()
        sum(losses).backward()
        return [*losses, *(parameter.grad.clone() for parameter in critic.parameters() if parameter.grad is not None)]

    plain = both()
    with torch.autocast("cpu", dtype):
        mixed = both()
    for first, second in zip(plain, mixed, strict=True):
        assert second.dtype == torch.float32
        torch.testing.assert_close(first, second)
