"""Defect detection: hysteresis thresholds, sensitivity, and large pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import restore
from restore import runtime
from restore.inference.defect_detector import LARGE, DefectDetector
from restore.inference.loading import InferenceOptions
from restore.networks import ModelSpec, RestorationNetwork


class Echo(RestorationNetwork):
    """Predicts the picture itself as the probabilities, and records the sizes of its inputs."""

    spec = ModelSpec(1, 1, receptive_field=0)

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []

    def __deepcopy__(self, memo: object) -> Echo:
        return self

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        self.sizes.append(tuple(picture.shape[2:]))
        return torch.zeros_like(picture)


def _detect(picture: np.ndarray, sensitivity: float = 0.5) -> np.ndarray:
    return DefectDetector(Echo(), options=InferenceOptions(runtime.choose("cpu", "fp32"))).detect(picture, sensitivity)


def test_a_low_probability_counts_only_next_to_a_high_one() -> None:
    picture = np.zeros((40, 60, 3), np.float32)
    picture[10, 5:50] = 0.4
    picture[10, 20:25] = 0.9
    picture[30, 5:50] = 0.4  # alone
    defects = _detect(picture)
    assert defects[10, 5:50].all()
    assert defects.sum() == 45


def test_a_higher_sensitivity_detects_more() -> None:
    picture = np.zeros((40, 400, 1), np.float32)
    for number in range(10):  # separate marks with different probabilities
        picture[10:14, 40 * number : 40 * number + 20] = 0.1 + 0.1 * number
    fractions = [_detect(picture, sensitivity).mean() for sensitivity in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] < fractions[2] < fractions[4]


def test_a_single_pixel_is_not_a_defect() -> None:
    picture = np.zeros((40, 60, 1), np.float32)
    picture[20, 30] = 1
    assert not _detect(picture).any()


@pytest.mark.parametrize(("side", "runs"), [(LARGE, 1), (LARGE + 1, 2), (2 * LARGE + 4, 3)])
def test_large_pictures_are_also_searched_at_smaller_sizes(side: int, runs: int) -> None:
    network = Echo()
    picture = np.zeros((side, side, 1), np.float32)
    picture[100:110, 200:900] = 1
    defects = DefectDetector(network, options=InferenceOptions(runtime.choose("cpu", "fp32"), tile=0)).detect(picture, 0.35)
    assert len(network.sizes) == 2 * runs, "each size as it is and transposed"
    assert defects.shape == (side, side)
    assert defects[100:110, 200:900].all()
    assert defects.sum() < 1.6 * 7000


def test_upright_and_lying_scratches_are_found_alike() -> None:
    picture = np.full((200, 200), 110 / 255, np.float32)
    picture[20:180, 90:92] = 240 / 255
    detector = restore.load("scratches", device="cpu", precision="fp32")
    upright, lying = (detector.detect(np.ascontiguousarray(plane)[:, :, None]) for plane in (picture, picture.T))
    assert np.array_equal(upright, lying.T)
    assert upright[30:170, 90:92].mean() > 0.98 and upright.mean() < 0.05


def test_tensors_and_missing_pixels_are_searched() -> None:
    detector = restore.load("scratches", device="cpu", precision="fp32")
    picture = np.random.default_rng(0).random((2, 48, 64, 3)).astype(np.float32) * 0.2 + 0.4
    picture[:, :, 30:32] = 1
    found = detector(torch.from_numpy(picture.transpose(0, 3, 1, 2)))
    assert found.shape == (2, 48, 64) and found.dtype == torch.bool
    assert np.array_equal(found[0].numpy(), detector(picture[0]))
    picture[0, 10, 10] = np.nan
    assert not detector(picture[0])[10, 10]
    for wrong in (np.zeros((8, 8), complex), np.zeros((8, 8, 5), np.uint8), [[1]]):
        with pytest.raises(ValueError):
            detector(wrong)
