"""The Laplacian pyramid: nothing lost, the noise of each band as stated, gains that leave noise alone."""

from __future__ import annotations

import numpy as np
import pytest

from restore.inference import laplacian_pyramid as pyramid


def noise(height: int, width: int, sigma: float = 1.0) -> np.ndarray:
    return sigma * np.random.default_rng(0).standard_normal((height, width)).astype(np.float32)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (15, 16), (16, 17), (33, 200), (127, 65)])
def test_bands_as_they_are_give_the_plane(size: tuple[int, int]) -> None:
    plane = noise(*size)
    numbers = []
    result = pyramid.remapped(plane, lambda number, band: numbers.append(number) or band)  # type: ignore[func-returns-value]
    np.testing.assert_allclose(result, plane, atol=2e-6)
    assert numbers == sorted(numbers, reverse=True) and len(numbers) == pyramid.levels(size)


def test_the_noise_of_each_band_is_as_stated() -> None:
    found = {}

    def remap(number: int, band: np.ndarray) -> np.ndarray:
        found[number] = float(band.std())
        return band

    pyramid.remapped(noise(1024, 1024, 0.02), remap)
    for number in range(6):
        assert found[number] == pytest.approx(0.02 * pyramid.noise_of(number), rel=0.05)


def test_the_power_law_raises_weak_contrast_and_keeps_strong() -> None:
    band = np.linspace(-1, 1, 2001, dtype=np.float32)[None].repeat(3, 0)
    gain = pyramid.power_law(band, 0.7)
    assert gain.min() >= 1
    assert gain[:, [0, -1]].max() == pytest.approx(1, abs=0.01)
    result = (band * gain)[0]
    assert (np.diff(result) > 0).all()
    assert gain[0, 1000] == pytest.approx(pyramid.LINEAR**-0.3, rel=0.01)
    assert (pyramid.power_law(np.zeros((4, 4), np.float32), 0.7) == 1).all()


def test_noise_is_not_raised_and_structure_is() -> None:
    band = noise(200, 200, 0.01)
    raised = pyramid.gated(band, 2.0, 0.01)
    assert 1 < raised.std() / band.std() < 1.35
    structure = pyramid.gated(10 * band, 2.0, 0.01)
    assert structure.std() / (10 * band).std() > 1.8
    np.testing.assert_array_equal(pyramid.gated(np.zeros((2, 2), np.float32), 2.0, 0.0), np.zeros((2, 2)))


def test_a_bands_noise_is_measured_in_its_flattest_areas() -> None:
    band = noise(256, 256, 0.03)
    band[:, 128:] += 0.5 * np.sin(np.arange(128))
    share = pyramid.flattest(band, np.full_like(band, 0.01), np.ones(band.shape, bool))
    assert share == pytest.approx(3.0, rel=0.12)
    assert pyramid.flattest(band, band, np.zeros(band.shape, bool)) == 0
