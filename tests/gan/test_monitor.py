"""The watch over a run's health: every illness is made to happen on purpose, and a healthy run is told nothing."""

from __future__ import annotations

import math

import pytest
import torch
from restore.gan.health import HealthConfig, HealthWatch
from torch import nn
from torch.nn import functional as F

from restore.gan import health

WELL = {
    "diversity": 0.9, "knew real": 0.75, "knew made": 0.7, "gradient generator": 1.0, "gradient discriminator": 1.0,
    "checkerboard": 1.1, "likeness": 0.6,
}  # fmt: skip
ILL = {
    "collapse": {"diversity": 0.1},
    "won": {"knew real": 1.0, "knew made": 1.0},
    "lost": {"knew real": 0.5, "knew made": 0.5},
    "vanishing": {"gradient generator": 1e-6},
    "exploding": {"gradient discriminator": 1e5},
    "checkerboard": {"checkerboard": 8.0},
    "inversion": {"likeness": -0.8},
    "nan": {"gradient generator": math.nan},
}


def _after_a_healthy_start() -> HealthWatch:
    watch = HealthWatch(HealthConfig(patience=3))
    for step in range(40):
        assert watch.look(step, WELL) == []
    return watch


def test_every_illness_has_its_mend_and_its_case() -> None:
    assert health.MENDS.keys() == ILL.keys()


@pytest.mark.parametrize("kind", sorted(ILL))
def test_an_illness_is_told_once_and_again_after_it_has_passed(kind: str) -> None:
    watch = _after_a_healthy_start()
    looks = [watch.look(step, WELL | ILL[kind]) for step in range(6)]
    assert [[verdict.kind for verdict in verdicts] for verdicts in looks if verdicts] == [[kind]]
    assert watch.look(10, WELL) == []
    again = [verdict.kind for step in range(6) for verdict in watch.look(step, WELL | ILL[kind])]
    assert again == [kind]


def test_one_bad_look_is_no_illness() -> None:
    watch = _after_a_healthy_start()
    for step in range(30):
        assert watch.look(step, WELL | (ILL["collapse"] if step % 2 else {})) == []


def test_several_players_are_watched_apart() -> None:
    watch = HealthWatch(HealthConfig(patience=1))
    verdicts = watch.look(0, {"forward knew real": 0.7, "forward knew made": 0.7, "backward knew real": 1.0, "backward knew made": 1.0})
    assert [verdict.kind for verdict in verdicts] == ["won"]


def test_equal_pictures_have_no_diversity() -> None:
    torch.manual_seed(0)
    different = torch.rand(8, 3, 32, 32)
    assert health.diversity(different[:1].expand(8, -1, -1, -1)) == pytest.approx(0, abs=1e-4)
    assert health.diversity(different) > 0.5
    assert health.diversity(different[:1]) == 0


@pytest.mark.parametrize("size", [(32, 32), (33, 46)])
def test_a_checkerboard_stands_out(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    smooth = F.interpolate(torch.rand(4, 3, 8, 8), size=size, mode="bicubic") + 0.02 * torch.rand(4, 3, *size)
    assert health.checkerboard(smooth) < 3
    rows, columns = torch.meshgrid(*(torch.arange(length) for length in size), indexing="ij")
    for board in ((rows + columns) % 2, rows % 2, columns % 2):
        assert health.checkerboard(smooth + 0.03 * board) > 10


def test_a_transposed_convolution_leaves_a_checkerboard() -> None:
    torch.manual_seed(0)
    features = torch.rand(4, 8, 24, 24)
    transposed = nn.ConvTranspose2d(8, 3, 3, 2, 1, output_padding=1)(features).detach()
    resized = nn.Conv2d(8, 3, 3, padding=1)(F.interpolate(features, scale_factor=2)).detach()
    assert health.checkerboard(transposed) > 3 * health.checkerboard(resized)


def test_likeness_is_the_correlation_of_brightness() -> None:
    torch.manual_seed(0)
    pictures = torch.rand(4, 3, 32, 32)
    assert health.likeness(pictures, 0.5 * pictures + 0.2) == pytest.approx(1, abs=1e-4)
    assert health.likeness(pictures, 1 - pictures) == pytest.approx(-1, abs=1e-4)
