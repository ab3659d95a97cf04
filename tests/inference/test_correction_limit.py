"""`correction_limit`: no correction exceeds what the noise can be."""

from __future__ import annotations

import numpy as np
import pytest

from restore.images.noise_model import NoiseLevel
from restore.inference import correction_limit


def test_a_correction_beyond_the_noise_is_limited() -> None:
    pixels = np.full((8, 8, 3), 0.5, np.float32)
    restored = pixels.copy()
    restored[0, 0], restored[1, 1], restored[2, 2] = 0.9, 0.1, 0.55
    correction_limit.limit(pixels, restored, NoiseLevel.gaussian(10.0))
    most = (60 + 0.5) / 255
    np.testing.assert_allclose(restored[0, 0], 0.5 + most, atol=1e-6)
    np.testing.assert_allclose(restored[1, 1], 0.5 - most, atol=1e-6)
    np.testing.assert_array_equal(restored[2, 2], np.float32(0.55))


def test_noise_that_grows_with_brightness_limits_by_the_brighter_value() -> None:
    pixels = np.array([[[0.0]], [[1.0]]], np.float32)
    restored = np.array([[[1.0]], [[0.0]]], np.float32)
    correction_limit.limit(pixels, restored, NoiseLevel(0.01, 0.0))  # sigma 0.1 at white
    assert restored[:, 0, 0] == pytest.approx([0.6 + 0.5 / 255, 0.4 - 0.5 / 255], abs=1e-5)


def test_real_noise_is_not_limited() -> None:
    rng = np.random.default_rng(0)
    clean = np.full((500, 500, 1), 0.4, np.float32)
    noisy = clean + rng.normal(0, 0.1, clean.shape).astype(np.float32)
    restored = clean.copy()
    correction_limit.limit(noisy, restored, NoiseLevel(0.0, 0.01))
    np.testing.assert_array_equal(restored, clean)


def test_windows_keep_what_is_more_than_the_noise() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 4 / 255, (200, 200, 3)).astype(np.float32)
    texture = np.zeros_like(noise)
    texture[100:] = rng.normal(0, 20 / 255, (100, 200, 3))
    pixels = np.float32(0.5) + noise + texture
    restored = np.full_like(pixels, 0.5)
    correction_limit.limit_energy(pixels, restored, 4.0)
    np.testing.assert_allclose(restored[:80], 0.5, atol=1e-6)
    left = 255 * float((restored - pixels)[120:].std())
    assert left == pytest.approx(correction_limit.UNEVEN * 4, rel=0.05)
