"""The confidence heads that ship: each is calibrated for weights that ship."""

from __future__ import annotations

import pytest

from restore import weights
from restore.inference.confidence import WEIGHTS, ConfidenceHead
from restore.inference.confidence_calibration import read
from restore.inference.risk_control import fewest_pictures
from restore.runtime import Runtime
from restore.tasks.denoise import COLOUR, GRAY, XRAY
from restore.tasks.upscale import FAITHFUL

HEADS = (XRAY, GRAY, COLOUR, *FAITHFUL.values())


@pytest.mark.parametrize("head", HEADS)
def test_every_head_is_calibrated_for_what_ships(head: str, fp32: Runtime) -> None:
    calibration = read(weights.find(WEIGHTS).recipe, head)
    assert calibration is not None
    assert calibration.weights == weights.fingerprint(weights.find(head))
    assert all(band.pictures >= fewest_pictures() for band in calibration.bands)
    assert ConfidenceHead.load(WEIGHTS, head, fp32).calibration == calibration


def test_no_other_head_ships() -> None:
    assert sorted(weights.find(WEIGHTS).recipe["directions"]) == sorted(HEADS)
