"""`restore upscale --confidence`: maps of the result's size, figures, warnings instead of promises; nothing without it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image as Pillow
from pydicom.data import get_testdata_file

from restore import networks, weights
from restore.api import step
from restore.inference.loading import InferenceOptions
from restore.pipeline import batch
from restore.pipeline.step import Image, ImageInfo
from restore.runtime import Runtime
from restore.tasks.upscale import FAITHFUL, PHOTO, Upscale

Smooth = Callable[..., np.ndarray]
RANGES = {"relative": [0, 1e9], "noise": [0, 1e9], "sharpness": [0, 10], "blocks": [0, 1e9]}


def _upscaler(path: Path, scale: int, seed: int, **losses: float) -> Path:
    torch.manual_seed(seed)
    settings = {"width": 8, "blocks": 1, "channels": 3, "scale": scale}
    network = networks.build("upscaler", **settings)
    recipe = {"task": "upscale", "network": "upscaler", "settings": settings, "training": {"losses": losses}}
    weights.save(path, network.state_dict(), recipe)
    return path


def _heads(folder: Path, ranges: dict[str, list[float]] = RANGES, detail: tuple[float, float] = (0.0, 200.0)) -> None:
    """Tiny heads, calibrated for the tiny upscalers in the folder."""
    tensors, calibration = {}, {}
    band = {"low": detail[0], "high": detail[1], "factor": 1.5, "error_factor": 1.0, "square_factor": 1.5, "pictures": 50, "ranges": ranges}
    for name in FAITHFUL.values():
        torch.manual_seed(0)
        network = networks.build("error_head", channels=1, width=8)
        tensors |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
        own = weights.fingerprint(weights.entry(folder / f"{name}.safetensors"))
        calibration[name] = {"measure": "detail", "weights": own, "pictures": "photographs", "digest": "0", "bands": [band]}
    settings = {"channels": 1, "width": 8}
    recipe = {"task": "confidence", "network": "error_head", "settings": settings, "directions": [*calibration], "calibration": calibration}
    weights.save(folder / "confidence.safetensors", tensors, recipe)


@pytest.fixture
def shipped(own_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tiny weights instead of the shipped ones."""
    monkeypatch.setattr(weights, "shipped_folder", lambda: own_weights)
    for seed, (scale, name) in enumerate(FAITHFUL.items()):
        _upscaler(own_weights / f"{name}.safetensors", scale, seed)
    _upscaler(own_weights / f"{PHOTO[4]}.safetensors", 4, 9, adversarial_weight=0.02)
    _heads(own_weights)
    return own_weights


@pytest.fixture
def make(fp32: Runtime) -> Callable[..., Upscale]:
    """Makes the step."""
    return lambda weights=None, **options: step("upscale", weights=weights, options=options, inference=InferenceOptions(fp32))


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [2, 4])
def test_the_result_is_the_same_with_and_without(make: Callable[..., Upscale], smooth: Smooth, channels: int, scale: int) -> None:
    image = Image(smooth(40, 33, channels))
    without, result = make(scale=scale)(image), make(scale=scale, confidence=True)(image)
    np.testing.assert_array_equal(without.pixels, result.pixels)
    assert without.side == ()
    assert result.stats.keys() - without.stats.keys() == {"expected_error", "error_bound", "bound_share", "expected_psnr"}
    assert [one.name for one in result.side] == ["error", "bound"]
    assert all(one.pixels.shape == (40 * scale, 33 * scale) for one in result.side)
    assert result.stats["bound_share"] == 0.9 and result.warnings == ()
    assert result.stats["expected_error"] == pytest.approx(255 * result.side[0].pixels.mean(), abs=0.01)


@pytest.mark.usefixtures("shipped")
def test_settings_do_not_know_it_unless_asked(make: Callable[..., Upscale]) -> None:
    """They are part of DICOM results and decide what a rerun skips."""
    without, asked = make().settings(), make(confidence=True).settings()
    assert "confidence" not in json.dumps(without)
    assert asked["confidence"] is True and "confidence_weights" in asked


@pytest.mark.usefixtures("shipped")
def test_a_scale_between_gets_maps_and_no_promise(make: Callable[..., Upscale], smooth: Smooth) -> None:
    result = make(scale=2.5, confidence=True)(Image(smooth(40, 33, 3)))
    assert result.side[0].pixels.shape == result.pixels.shape[:2] == (100, 82)
    assert result.stats["bound_share"] is None and result.stats["expected_psnr"] is None
    assert any("4 times as large, not 2.5" in text for text in result.warnings)


def test_pictures_unlike_the_calibration_pictures_get_a_warning(shipped: Path, make: Callable[..., Upscale], smooth: Smooth) -> None:
    _heads(shipped, {**RANGES, "sharpness": [0.9, 1.0]})
    result = make(confidence=True)(Image(smooth(40, 33, 3)))
    assert result.stats["bound_share"] is None
    assert any("sharpness" in text for text in result.warnings)


def test_noise_is_warned_of_once(shipped: Path, make: Callable[..., Upscale], smooth: Smooth) -> None:
    noisy = smooth(128, 128, 3) + np.random.default_rng(0).normal(0, 9 / 255, (128, 128, 3)).astype(np.float32)
    unlike = "it is noisy, unlike the calibration pictures"
    result = make(confidence=True)(Image(noisy))
    assert sum("`restore denoise`" in text for text in result.warnings) == 1 and not any(unlike in text for text in result.warnings)
    _heads(shipped, {**RANGES, "noise": [0, 1]})
    result = make(confidence=True)(Image(noisy))
    assert any(unlike in text for text in result.warnings) and not any("`restore denoise`" in text for text in result.warnings)


@pytest.mark.usefixtures("shipped")
def test_a_dicom_of_a_modality_gets_a_warning(make: Callable[..., Upscale], smooth: Smooth) -> None:
    result = make(confidence=True)(Image(smooth(40, 33, 1), info=ImageInfo(radiograph=True)))
    assert any("DICOM header" in text for text in result.warnings) and result.stats["bound_share"] is None


@pytest.mark.usefixtures("shipped")
def test_other_weights_get_a_warning(make: Callable[..., Upscale], smooth: Smooth, tmp_path: Path) -> None:
    own = _upscaler(tmp_path / "own.safetensors", 3, 5)
    result = make(str(own), confidence=True)(Image(smooth(40, 33, 3)))
    assert any("not for these weights" in text for text in result.warnings)
    assert result.side[0].pixels.shape == (120, 99)


@pytest.mark.usefixtures("shipped")
def test_weights_that_invent_texture_have_no_maps(make: Callable[..., Upscale]) -> None:
    with pytest.raises(ValueError, match="invent texture"):
        make("photo", confidence=True)
    make("photo")


@pytest.mark.usefixtures("shipped")
def test_a_part_of_the_correction_has_no_maps(make: Callable[..., Upscale]) -> None:
    with pytest.raises(ValueError, match="strength"):
        make(confidence=True, strength=0.5)


@pytest.mark.usefixtures("shipped")
def test_a_run_writes_maps_of_pictures_and_dicom(make: Callable[..., Upscale], smooth: Smooth, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    Pillow.fromarray(np.rint(smooth(30, 40, 3) * 255).astype(np.uint8)).save(source / "a.png")
    (source / "b.dcm").write_bytes(Path(str(get_testdata_file("CT_small.dcm"))).read_bytes())
    report = batch.run(make(scale=2, confidence=True), [source], out)
    assert report.done == 2, [record.error for record in report.records]
    with Pillow.open(out / "a.error.png") as opened:
        assert opened.size == (80, 60) and opened.mode == "L"
    original, result, error = (pydicom.dcmread(path) for path in (source / "b.dcm", out / "b.dcm", out / "b.error.dcm"))
    assert (error.Rows, error.Columns) == (result.Rows, result.Columns) == (2 * original.Rows, 2 * original.Columns)
    assert list(error.PixelSpacing) == list(result.PixelSpacing) == [float(value) / 2 for value in original.PixelSpacing]
    assert list(error.ImagePositionPatient) == list(result.ImagePositionPatient) != list(original.ImagePositionPatient)
    assert len({one.SOPInstanceUID for one in (original, result, error)}) == 3
