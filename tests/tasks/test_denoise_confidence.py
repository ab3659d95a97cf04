"""`restore denoise --confidence`: maps next to the results, figures in the report, warnings instead of promises; nothing without it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image as Pillow
from pydicom.data import get_testdata_file

from restore import networks, weights
from restore.api import step
from restore.datasets.degrade import gaussian
from restore.inference import sure
from restore.inference.loading import InferenceOptions
from restore.pipeline import batch
from restore.pipeline.step import Image, ImageInfo
from restore.runtime import Runtime
from restore.tasks.denoise import CAMERA, COLOUR, GRAY, XRAY, Denoise

Smooth = Callable[..., np.ndarray]
NAMES = (XRAY, GRAY, COLOUR)
RANGES = {"relative": [0, 1e9], "correlation": [-1, 1], "energy": [0, 1e9]}


def _heads(folder: Path, ranges: dict[str, list[float]], sigma: tuple[float, float] = (1.0, 200.0)) -> None:
    """Tiny heads, calibrated for the tiny denoisers in the folder."""
    tensors, calibration = {}, {}
    band = {"low": sigma[0], "high": sigma[1], "factor": 1.5, "error_factor": 1.0, "square_factor": 1.5, "pictures": 50, "ranges": ranges}
    for name in NAMES:
        torch.manual_seed(0)
        network = networks.build("error_head", channels=1, width=8)
        tensors |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
        denoiser = weights.fingerprint(weights.entry(folder / f"{name}.safetensors"))
        calibration[name] = {"measure": "noise", "weights": denoiser, "pictures": "photographs", "digest": "0", "bands": [band]}
    settings = {"channels": 1, "width": 8}
    recipe = {"task": "confidence", "network": "error_head", "settings": settings, "directions": list(NAMES), "calibration": calibration}
    weights.save(folder / "confidence.safetensors", tensors, recipe)


@pytest.fixture
def shipped(own_weights: Path, weights_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tiny weights instead of the shipped ones."""
    monkeypatch.setattr(weights, "shipped_folder", lambda: own_weights)
    weights_file(own_weights / f"{GRAY}.safetensors", seed=0)
    weights_file(own_weights / f"{COLOUR}.safetensors", channels=3, seed=1)
    weights_file(own_weights / f"{CAMERA}.safetensors", channels=3, seed=3, training={"noise": {"camera_fraction": 0.75}})
    weights_file(own_weights / f"{XRAY}.safetensors", seed=2, training={"noise": {"poisson_fraction": 0.9}})
    _heads(own_weights, RANGES)
    return own_weights


@pytest.fixture
def make(fp32: Runtime) -> Callable[..., Denoise]:
    """Makes the step."""
    return lambda weights=None, **options: step("denoise", weights=weights, options=options, inference=InferenceOptions(fp32))


def _noisy(smooth: Smooth, channels: int = 1) -> np.ndarray:
    return gaussian(smooth(96, 80, channels), 20 / 255, np.random.default_rng(0))[0]


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("channels", [1, 3])
def test_the_result_is_the_same_with_and_without(make: Callable[..., Denoise], smooth: Smooth, channels: int) -> None:
    image = Image(_noisy(smooth, channels))
    without, result = make()(image), make(confidence=True)(image)
    np.testing.assert_array_equal(without.pixels, result.pixels)
    assert without.side == ()
    assert {"expected_error", "error_bound", "bound_share", "expected_psnr", "sure_psnr"} <= result.stats.keys() - without.stats.keys()
    assert [one.name for one in result.side] == ["error", "bound"]
    assert all(one.pixels.shape == image.pixels.shape[:2] for one in result.side)
    assert result.stats["bound_share"] == 0.9
    assert result.stats["expected_error"] == pytest.approx(255 * result.side[0].pixels.mean(), abs=0.01)


@pytest.mark.usefixtures("shipped")
def test_settings_do_not_know_it_unless_asked(make: Callable[..., Denoise]) -> None:
    """They are part of DICOM results and decide what a rerun skips."""
    without, asked = make().settings(), make(confidence=True).settings()
    assert "confidence" not in json.dumps(without)
    assert asked["confidence"] is True and "confidence_weights" in asked


def test_pictures_outside_the_calibration_get_a_warning(shipped: Path, make: Callable[..., Denoise], smooth: Smooth) -> None:
    _heads(shipped, RANGES, (100.0, 200.0))
    result = make(confidence=True)(Image(_noisy(smooth)))
    assert result.stats["bound_share"] is None
    assert any("outside the calibrated 100 to 200" in text for text in result.warnings)


def test_correlated_noise_has_neither_promise_nor_sure(shipped: Path, make: Callable[..., Denoise], smooth: Smooth) -> None:
    _heads(shipped, {**RANGES, "correlation": [0.9, 1.0]})
    result = make(confidence=True, noise_level=20)(Image(_noisy(smooth)))
    assert result.stats["bound_share"] is None and result.stats["sure_psnr"] is None
    assert sure.CORRELATED in result.warnings


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize(
    ("radiograph", "name", "warned"), [(None, GRAY, False), (False, GRAY, True), (True, XRAY, False), (True, GRAY, True)]
)
def test_a_dicom_of_another_modality_gets_a_warning(
    make: Callable[..., Denoise], smooth: Smooth, radiograph: bool | None, name: str, warned: bool
) -> None:
    result = make(name, confidence=True)(Image(_noisy(smooth), info=ImageInfo(radiograph=radiograph)))
    assert any("DICOM header" in text for text in result.warnings) is warned
    assert (result.stats["bound_share"] is None) is warned


def test_other_weights_get_a_warning(
    shipped: Path, weights_file: Callable[..., Path], make: Callable[..., Denoise], smooth: Smooth, tmp_path: Path
) -> None:
    own = weights_file(tmp_path / "own.safetensors", seed=9)
    result = make(str(own), confidence=True)(Image(_noisy(smooth)))
    assert any("not for these weights" in text for text in result.warnings)
    assert result.stats["bound_share"] is None


@pytest.mark.usefixtures("shipped")
def test_a_part_of_the_correction_has_no_maps(make: Callable[..., Denoise]) -> None:
    with pytest.raises(ValueError, match="strength"):
        make(confidence=True, strength=0.5)


def test_weights_without_heads_are_named(shipped: Path, make: Callable[..., Denoise]) -> None:
    (shipped / "confidence.safetensors").unlink()
    with pytest.raises(ValueError, match="confidence"):
        make(confidence=True)
    make()


@pytest.mark.usefixtures("shipped")
def test_a_run_writes_maps_of_pictures_and_dicom(make: Callable[..., Denoise], smooth: Smooth, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    Pillow.fromarray(np.rint(np.clip(_noisy(smooth)[:, :, 0], 0, 1) * 65535).astype(np.uint16)).save(source / "a.png")
    (source / "b.dcm").write_bytes(Path(str(get_testdata_file("CT_small.dcm"))).read_bytes())
    report = batch.run(make(confidence=True), [source], tmp_path / "out")
    assert report.done == 2, [record.error for record in report.records]
    names = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_file())
    assert names == ["a.bound.png", "a.error.png", "a.png", "b.bound.dcm", "b.dcm", "b.error.dcm"]
    identities = {pydicom.dcmread(path).SOPInstanceUID for path in (source / "b.dcm", *(tmp_path / "out").glob("b*.dcm"))}
    assert len(identities) == 4
    record = report.records[0].as_dict()
    with Pillow.open(tmp_path / "out/a.error.png") as opened:
        map_: Any = np.asarray(opened) / record["side_images"]["error"]["steps"] / 65535 * 255
    assert map_.mean() == pytest.approx(record["expected_error"], rel=0.01)
