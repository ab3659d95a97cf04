"""Seeded blur: widths of the kernels, the condition, and sharp crops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from restore.datasets import blur
from restore.datasets.blur import BlurConfig
from restore.images.deconvolution import NOISE_SCALE

Smooth = Callable[..., np.ndarray]
PLAIN = BlurConfig(
    sharp_fraction=0, defocus_fraction=0, motion_fraction=0, sigma=(0, 0), round_fraction=0, jpeg_fraction=0, width_error=0, noise_error=0
)


def _spread(kernel: np.ndarray) -> np.ndarray:
    """The covariance of a kernel, (2, 2), in pixels squared."""
    reach = kernel.shape[0] // 2
    positions = np.stack(np.mgrid[-reach : reach + 1, -reach : reach + 1]).reshape(2, -1)
    return np.asarray((positions * kernel.reshape(-1)) @ positions.T)


@pytest.mark.parametrize("width", [1.0, 2.0, 3.0])
def test_kernels_have_the_width_that_is_specified(width: float) -> None:
    for kernel in (blur.disc(width), blur.line(width, 0.0), blur.line(width, 1.1)):
        assert kernel.sum() == pytest.approx(1, abs=1e-5)
        assert np.sqrt(np.trace(_spread(kernel)) / 2) == pytest.approx(width, rel=0.08)
    disc, line = _spread(blur.disc(width)), _spread(blur.line(width, np.pi / 2))
    assert disc[0, 0] == pytest.approx(disc[1, 1], rel=1e-3)
    assert line[0, 0] > 5 * line[1, 1]  # a motion down blurs down


def _specified(condition: np.ndarray) -> float:
    """The width that a condition says, without noise but that of rounding."""
    return float(condition[0, 0, 2]) / float(NOISE_SCALE) / blur.LEAST_NOISE


def test_the_filter_undoes_the_blur_and_the_condition_tells_of_both(photograph: Smooth) -> None:
    picture = photograph(80, 80)
    for seed in range(4):
        sharper, condition = blur.blur(picture, np.random.default_rng(seed), config=PLAIN)
        assert (sharper.shape, condition.shape) == ((80, 80, 1), (80, 80, 3))
        blurred = blur.gaussian(picture, _specified(condition))
        np.testing.assert_allclose(sharper + condition[:, :, :1], blurred, atol=1e-5)
        assert np.mean((sharper - picture) ** 2) < np.mean((blurred - picture) ** 2)


def test_sharp_crops_say_so(smooth: Smooth) -> None:
    picture = smooth(32, 40, 1)
    sharp, condition = blur.blur(picture, np.random.default_rng(0), config=replace(PLAIN, sharp_fraction=1))
    np.testing.assert_array_equal(sharp, picture)
    assert not condition[:, :, [0, 2]].any()


def test_the_specified_width_and_noise_err_as_much_as_is_asked() -> None:
    picture = np.zeros((8, 8, 1), np.float32)
    fixed = replace(PLAIN, width=(1.0, 1.0 + 1e-9), width_error=0.2)
    specified = [_specified(blur.blur(picture, np.random.default_rng(seed), config=fixed)[1]) for seed in range(300)]
    assert np.std(np.log(specified)) == pytest.approx(0.2, rel=0.15)
    noisy = replace(PLAIN, width=(1.0, 1.0 + 1e-9), sigma=(4, 4 + 1e-9), noise_error=0.2)
    levels = [float(blur.blur(picture, np.random.default_rng(seed), config=noisy)[1][0, 0, 2]) for seed in range(300)]
    assert np.exp(np.mean(np.log(levels))) == pytest.approx(NOISE_SCALE * 4 / 255, rel=0.05)
    assert np.std(np.log(levels)) == pytest.approx(0.2, rel=0.15)


def test_a_seed_gives_one_result(smooth: Smooth) -> None:
    picture = smooth(40, 40, 1)
    results = [blur.blur(picture, np.random.default_rng(seed), config=BlurConfig())[0] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])
