"""Seeded blur: widths of the kernels, the condition, and sharp crops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from restore.datasets import blur
from restore.datasets.blur import BlurConfig
from restore.networks.spec import BLUR_UNIT

Smooth = Callable[..., np.ndarray]
PLAIN = BlurConfig(sharp_fraction=0, defocus_fraction=0, motion_fraction=0, sigma=(0, 0), round_fraction=0, jpeg_fraction=0, width_error=0)


def _spread(kernel: np.ndarray) -> np.ndarray:
    """The covariance of a kernel, (2, 2), in pixels squared."""
    reach = kernel.shape[0] // 2
    positions = np.stack(np.mgrid[-reach : reach + 1, -reach : reach + 1]).reshape(2, -1)
    return np.asarray((positions * kernel.reshape(-1)) @ positions.T)


@pytest.mark.parametrize("width", [1.0, 2.0, 3.0])
def test_kernels_have_the_width_that_is_told(width: float) -> None:
    for kernel in (blur.disc(width), blur.line(width, 0.0), blur.line(width, 1.1)):
        assert kernel.sum() == pytest.approx(1, abs=1e-5)
        assert np.sqrt(np.trace(_spread(kernel)) / 2) == pytest.approx(width, rel=0.08)
    disc, line = _spread(blur.disc(width)), _spread(blur.line(width, np.pi / 2))
    assert disc[0, 0] == pytest.approx(disc[1, 1], rel=1e-3)
    assert line[0, 0] > 5 * line[1, 1]  # a motion down blurs down


def test_the_condition_is_the_width_and_the_picture_loses_detail(smooth: Smooth) -> None:
    picture = np.random.default_rng(0).random((64, 64, 1), np.float32)
    for seed in range(4):
        blurred, condition = blur.blur(picture, np.random.default_rng(seed), config=PLAIN)
        assert np.ptp(condition) == 0
        width = float(condition[0, 0, 0]) * BLUR_UNIT
        np.testing.assert_allclose(blurred, blur.deblurred(blur.gaussian(picture, width), width), atol=1e-4)
        # white noise through a Gaussian: its deviation falls by 2 sqrt(pi) width
        if width > 1:
            inner = blur.gaussian(picture, width)[16:-16, 16:-16]
            assert inner.std() == pytest.approx(picture.std() / (2 * np.sqrt(np.pi) * width), rel=0.35)


def test_sharp_crops_say_so(smooth: Smooth) -> None:
    picture = smooth(32, 40, 1)
    sharp, condition = blur.blur(picture, np.random.default_rng(0), config=replace(PLAIN, sharp_fraction=1))
    np.testing.assert_array_equal(sharp, picture)
    assert not condition.any()


def test_the_told_width_errs_as_much_as_is_asked() -> None:
    picture = np.zeros((8, 8, 1), np.float32)
    fixed = replace(PLAIN, width=(1.0, 1.0 + 1e-9), width_error=0.2)
    told = [float(blur.blur(picture, np.random.default_rng(seed), config=fixed)[1][0, 0, 0]) * BLUR_UNIT for seed in range(300)]
    assert np.std(np.log(told)) == pytest.approx(0.2, rel=0.15)


def test_a_seed_gives_one_result(smooth: Smooth) -> None:
    picture = smooth(40, 40, 1)
    results = [blur.blur(picture, np.random.default_rng(seed), config=BlurConfig())[0] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])
