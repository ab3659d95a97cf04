"""Single photons are distinguished by their steps, or not at all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from restore.images.noise_model import PhotonSteps
from restore.inference.noise_estimation import estimate
from restore.inference.photon_counts import photon_steps

Smooth = Callable[..., np.ndarray]


def _found(clean: np.ndarray, photons: float, *, readout: float = 0.0, zero: float = 0.0, step: float = 0.03) -> PhotonSteps | None:
    rng = np.random.default_rng(0)
    seen = rng.poisson(clean * photons) + readout * rng.standard_normal(clean.shape)
    noisy = (zero + step * seen).astype(np.float32)
    return photon_steps([noisy], [estimate(noisy)])


@pytest.mark.parametrize("readout", [0.0, 0.1])
@pytest.mark.parametrize("zero", [0.0, 0.12])
def test_steps_of_photons(smooth: Smooth, readout: float, zero: float) -> None:
    steps = _found(smooth(256, 256), 8, readout=readout, zero=zero)
    assert steps is not None
    assert steps.step == pytest.approx(0.03, rel=0.01)
    assert steps.zero == pytest.approx(zero, abs=0.006)


def test_readout_noise_and_many_photons_hide_the_steps(smooth: Smooth) -> None:
    assert _found(smooth(256, 256), 8, readout=0.6) is None
    assert _found(smooth(256, 256), 400, step=0.002) is None


def test_noise_that_does_not_grow_with_the_signal_has_no_steps(smooth: Smooth) -> None:
    noisy = smooth(256, 256) + np.random.default_rng(0).normal(0, 0.05, (256, 256, 1)).astype(np.float32)
    assert photon_steps([noisy], [estimate(noisy)]) is None


def test_the_steps_of_a_file_are_not_those_of_photons(smooth: Smooth) -> None:
    rng = np.random.default_rng(0)
    stored = np.rint(100 + 2.5 * (rng.poisson(smooth(256, 256) * 40) + rng.normal(0, 1.5, (256, 256, 1))))
    noisy = (stored / 65535).astype(np.float32)
    assert photon_steps([noisy], [estimate(noisy)]) is None
