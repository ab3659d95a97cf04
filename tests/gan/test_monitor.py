"""The training monitor: every failure mode is provoked, and a healthy run gets no diagnosis."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from restore.gan import monitor
from restore.gan.monitor import MonitorConfig, TrainingMonitor

HEALTHY = {
    "diversity": 0.9, "accuracy real": 0.75, "accuracy fake": 0.7, "gradient generator": 1.0, "gradient discriminator": 1.0,
    "checkerboard": 1.1, "brightness correlation": 0.6,
}  # fmt: skip
FAILING = {
    "collapse": {"diversity": 0.1},
    "won": {"accuracy real": 1.0, "accuracy fake": 1.0},
    "lost": {"accuracy real": 0.5, "accuracy fake": 0.5},
    "vanishing": {"gradient generator": 1e-6},
    "exploding": {"gradient discriminator": 1e5},
    "checkerboard": {"checkerboard": 8.0},
    "inversion": {"brightness correlation": -0.8},
    "nan": {"gradient generator": math.nan},
}


def _after_a_healthy_start() -> TrainingMonitor:
    monitored = TrainingMonitor(MonitorConfig(patience=3))
    for step in range(40):
        assert monitored.check(step, HEALTHY) == []
    return monitored


def test_every_failure_mode_has_its_remedy_and_its_case() -> None:
    assert monitor.REMEDIES.keys() == FAILING.keys()


@pytest.mark.parametrize("mode", sorted(FAILING))
def test_a_failure_mode_is_reported_once_and_again_after_it_has_passed(mode: str) -> None:
    monitored = _after_a_healthy_start()
    checks = [monitored.check(step, HEALTHY | FAILING[mode]) for step in range(6)]
    assert [[diagnosis.failure_mode for diagnosis in diagnoses] for diagnoses in checks if diagnoses] == [[mode]]
    assert monitored.check(10, HEALTHY) == []
    again = [diagnosis.failure_mode for step in range(6) for diagnosis in monitored.check(step, HEALTHY | FAILING[mode])]
    assert again == [mode]


def test_one_bad_check_is_no_failure() -> None:
    monitored = _after_a_healthy_start()
    for step in range(30):
        assert monitored.check(step, HEALTHY | (FAILING["collapse"] if step % 2 else {})) == []


def test_several_networks_are_checked_separately() -> None:
    monitored = TrainingMonitor(MonitorConfig(patience=1))
    diagnoses = monitored.check(
        0,
        {
            "forward accuracy real": 0.7,
            "forward accuracy fake": 0.7,
            "backward accuracy real": 1.0,
            "backward accuracy fake": 1.0,
        },
    )
    assert [diagnosis.failure_mode for diagnosis in diagnoses] == ["won"]


def test_equal_pictures_have_no_diversity() -> None:
    torch.manual_seed(0)
    different = torch.rand(8, 3, 32, 32)
    assert monitor.diversity(different[:1].expand(8, -1, -1, -1)) == pytest.approx(0, abs=1e-4)
    assert monitor.diversity(different) > 0.5
    assert monitor.diversity(different[:1]) == 0


@pytest.mark.parametrize("size", [(32, 32), (33, 46)])
def test_a_checkerboard_stands_out(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    smooth = F.interpolate(torch.rand(4, 3, 8, 8), size=size, mode="bicubic") + 0.02 * torch.rand(4, 3, *size)
    assert monitor.checkerboard(smooth) < 3
    rows, columns = torch.meshgrid(*(torch.arange(length) for length in size), indexing="ij")
    for board in ((rows + columns) % 2, rows % 2, columns % 2):
        assert monitor.checkerboard(smooth + 0.03 * board) > 10


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (7, 7), (8, 8), (9, 9), (8, 32), (32, 9), (10, 10), (11, 24), (16, 16)])
def test_images_too_small_for_a_checkerboard_have_the_other_measures(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    fake, real = torch.rand(4, 3, *size), torch.rand(4, 3, *size)
    measures = monitor.image_measures(fake, real, real)
    assert all(math.isfinite(value) for value in measures.values())
    assert measures.keys() == {"diversity", "brightness correlation"} | ({"checkerboard"} if min(size) >= 10 else set())


def test_a_transposed_convolution_leaves_a_checkerboard() -> None:
    torch.manual_seed(0)
    features = torch.rand(4, 8, 24, 24)
    transposed = nn.ConvTranspose2d(8, 3, 3, 2, 1, output_padding=1)(features).detach()
    resized = nn.Conv2d(8, 3, 3, padding=1)(F.interpolate(features, scale_factor=2)).detach()
    assert monitor.checkerboard(transposed) > 3 * monitor.checkerboard(resized)


def test_brightness_correlation() -> None:
    torch.manual_seed(0)
    pictures = torch.rand(4, 3, 32, 32)
    assert monitor.brightness_correlation(pictures, 0.5 * pictures + 0.2) == pytest.approx(1, abs=1e-4)
    assert monitor.brightness_correlation(pictures, 1 - pictures) == pytest.approx(-1, abs=1e-4)
