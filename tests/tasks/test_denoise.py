"""The denoising step: the choice of weights, the settings and the warnings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from restore import images
from restore import weights as weights_catalogue
from restore.api import step
from restore.datasets import camera, degrade
from restore.datasets.camera import Camera
from restore.images.noise_model import NoiseLevel
from restore.inference import picture_tuning
from restore.inference.denoiser import Denoiser
from restore.inference.loading import InferenceOptions
from restore.pipeline import batch
from restore.pipeline.step import Image, ImageInfo
from restore.runtime import Runtime
from restore.tasks.denoise import CAMERA, COLOUR, GRAY, XRAY, Denoise, NoiseAnalysis

Smooth = Callable[..., np.ndarray]


@pytest.fixture
def three(own_weights: Path, weights_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tiny weights instead of the shipped ones."""
    monkeypatch.setattr(weights_catalogue, "shipped_folder", lambda: own_weights)
    weights_file(own_weights / f"{GRAY}.safetensors", seed=0)
    weights_file(own_weights / f"{COLOUR}.safetensors", channels=3, seed=1)
    weights_file(own_weights / f"{XRAY}.safetensors", seed=2, training={"noise": {"poisson_fraction": 0.9}})
    weights_file(own_weights / f"{CAMERA}.safetensors", channels=3, seed=3, training={"noise": {"camera_fraction": 0.75}})
    return own_weights


@pytest.fixture(params=["torch", "onnx"])
def make(fp32: Runtime, request: pytest.FixtureRequest) -> Callable[..., Denoise]:
    """Makes the step, for each engine."""
    engine: str = request.param
    if engine == "onnx":
        pytest.importorskip("onnxruntime")
    inference = InferenceOptions(fp32, engine=engine)
    return lambda weights=None, **options: step("denoise", weights=weights, options=options, inference=inference)


def _restore(step: Denoise, pixels: np.ndarray, radiograph: bool | None = None) -> tuple[np.ndarray, Mapping[str, Any]]:
    result = step(Image(pixels, info=ImageInfo(radiograph=radiograph)))
    return result.pixels, result.stats


def _views(step: Denoise, name: str) -> int:
    return len(step._denoisers(name).runner.runner.transforms)


def _warnings(step: Denoise, pixels: np.ndarray) -> tuple[str, ...]:
    return step(Image(pixels, info=ImageInfo(radiograph=False))).warnings


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("channels", "radiograph", "name"),
    [(3, None, COLOUR), (1, False, GRAY), (1, True, XRAY), (1, None, GRAY), (3, True, COLOUR)],
)
def test_the_content_chooses_the_weights(
    make: Callable[..., Denoise], smooth: Smooth, channels: int, radiograph: bool | None, name: str
) -> None:
    restored, facts = _restore(make(), smooth(40, 50, channels), radiograph)
    assert restored.shape == (40, 50, channels)
    assert facts["weights"] == name


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(("content", "channels", "stated", "name"), [
    ("radiograph", 1, None, XRAY), ("radiograph", 1, False, GRAY), ("radiograph", 3, None, COLOUR), ("photograph", 1, None, GRAY),
    ("photograph", 1, True, XRAY),
])  # fmt: skip
def test_the_user_says_what_gray_pictures_show_unless_the_file_does(
    make: Callable[..., Denoise], smooth: Smooth, content: str, channels: int, stated: bool | None, name: str
) -> None:
    assert _restore(make(content=content), smooth(40, 50, channels), stated)[1]["weights"] == name


@pytest.mark.usefixtures("three")
def test_noise_of_a_camera_gets_its_own_weights(make: Callable[..., Denoise], photograph: Smooth) -> None:
    settings = Camera(shot=4e-3, read=1e-5, chroma=1.5, smoothing=0.5, quality=92)
    noisy, _ = camera.photograph(photograph(240, 260, 3), settings, np.random.default_rng(0))
    assert _restore(make(), noisy)[1]["weights"] == CAMERA
    assert _restore(make(noise_level=5), noisy)[1]["weights"] == COLOUR
    white, _ = degrade.gaussian(photograph(240, 260, 3), 15 / 255, np.random.default_rng(0))
    assert _restore(make(), white)[1]["weights"] == COLOUR


@pytest.mark.usefixtures("three")
def test_gray_stored_as_colour_is_restored_as_gray(make: Callable[..., Denoise], smooth: Smooth) -> None:
    work, gray = make(), smooth(40, 50)
    restored, facts = _restore(work, np.repeat(gray, 3, axis=2), False)
    assert facts["weights"] == GRAY
    assert restored.shape == (40, 50, 3)
    np.testing.assert_array_equal(restored, np.repeat(_restore(work, gray, False)[0], 3, axis=2))


@pytest.mark.usefixtures("three")
def test_the_level_is_reported_and_can_be_set(make: Callable[..., Denoise], smooth: Smooth) -> None:
    noisy = smooth(80, 80) + np.random.default_rng(0).normal(0, 20 / 255, (80, 80, 1)).astype(np.float32)
    assert _restore(make(), noisy, False)[1]["noise_level"] == pytest.approx(20, rel=0.2)
    assert _restore(make(noise_level=7), noisy, False)[1]["noise_level"] == 7
    assert _restore(make(), noisy, True)[1]["noise"].startswith("sigma")
    np.testing.assert_array_equal(_restore(make(strength=0.0), noisy, False)[0], noisy)


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_blank_page_stays_blank(make: Callable[..., Denoise], three: Path, value: float) -> None:
    for channels in (1, 3):
        blank = np.full((70, 80, channels), value, np.float32)
        assert np.array_equal(_restore(make(), blank)[0], blank)


def test_correlated_noise_gives_a_warning_unless_it_is_weak(make: Callable[..., Denoise], smooth: Smooth) -> None:
    white = np.random.default_rng(0).normal(0, 1, (128, 128)).astype(np.float32)
    noise = cv2.GaussianBlur(white, (0, 0), 0.8)[:, :, None]
    clean = smooth(128, 128)
    assert any("neighbouring pixels" in text for text in _warnings(make(), clean + noise * np.float32(0.1)))
    assert not _warnings(make(), clean + noise * np.float32(0.001))
    assert not _warnings(make(noise_level=20), clean + noise * np.float32(0.1))


def test_chosen_weights_are_used_for_everything(make: Callable[..., Denoise], three: Path, smooth: Smooth, fp32: Runtime) -> None:
    path = three / f"{COLOUR}.safetensors"
    for given in (COLOUR, str(path), path):
        restored, facts = _restore(make(given, noise_level=25.0), smooth(24, 24), True)
        assert facts["weights"] == COLOUR
        expected = Denoiser.load(path, InferenceOptions(fp32, ensemble=2)).denoise(smooth(24, 24), 25.0)[0]
        np.testing.assert_allclose(restored, expected, atol=1e-6)


@pytest.mark.usefixtures("three")
def test_photographs_average_two_transforms_and_x_rays_one(make: Callable[..., Denoise]) -> None:
    assert [_views(make(), name) for name in (XRAY, GRAY, COLOUR, CAMERA)] == [1, 2, 2, 2]
    assert [_views(make(ensemble=4), name) for name in (XRAY, GRAY, COLOUR)] == [4, 4, 4]
    assert [_views(make(quality="fast"), name) for name in (XRAY, GRAY, COLOUR)] == [1, 1, 1]
    assert [_views(make(quality="best"), name) for name in (XRAY, GRAY, COLOUR)] == [8, 8, 8]
    assert _views(make(quality="best", ensemble=2), XRAY) == 2
    with pytest.raises(ValueError, match="ensemble must be auto, 1, 2, 4 or 8"):
        make(ensemble=3)


@pytest.mark.usefixtures("three")
def test_the_best_quality_tunes_and_blends_where_noise_is_white(
    make: Callable[..., Denoise], smooth: Smooth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_tuning, "STEPS", 3)
    noisy = smooth(100, 100) + np.random.default_rng(0).normal(0, 20 / 255, (100, 100, 1)).astype(np.float32)
    best, facts = _restore(make(quality="best", ensemble=1, noise_level=20), noisy, False)
    plain, other = _restore(make(ensemble=1, noise_level=20), noisy, False)
    assert 0 < facts["nonlocal_weight"] <= 1
    assert 0 < facts["tuned_weight"] <= 1
    assert not {"nonlocal_weight", "tuned_weight"} & set(other)
    again, _ = _restore(make(quality="best", ensemble=1, noise_level=20), noisy, False)
    np.testing.assert_array_equal(again, best)
    assert np.abs(best - smooth(100, 100)).mean() < np.abs(plain - smooth(100, 100)).mean()


@pytest.mark.usefixtures("three")
def test_the_settings_contain_what_affects_the_result(make: Callable[..., Denoise]) -> None:
    variants = [make(), make(GRAY), make(XRAY), make(strength=0.5), make(noise_level=5), make(quality="best")]
    assert len({repr(work.settings()) for work in variants}) == len(variants)
    assert make().settings() == make(quality="default").settings()
    assert "quality" not in make().settings()


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    "options",
    [
        {"strength": 1.5},
        {"strength": -0.1},
        {"noise_level": 256},
        {"noise_level": -1},
        {"noise_level": "much"},
        {"colour": 1},
    ],
    ids=str,
)
def test_invalid_options_are_refused(make: Callable[..., Denoise], options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"strength|noise_level|much|colour"):
        make(**options)


def test_weights_of_another_task_are_refused(make: Callable[..., Denoise], own_weights: Path, weights_file: Callable[..., Path]) -> None:
    weights_file(own_weights / "large.safetensors", task="upscale")
    with pytest.raises(ValueError, match=r"large.*upscale"):
        make("large")


@pytest.mark.usefixtures("three")
def test_a_batch_analyses_a_picture_where_it_is_decoded_and_restores_it_the_same(
    make: Callable[..., Denoise], smooth: Smooth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in" / "scan.png"
    path.parent.mkdir()
    Pillow.fromarray((smooth(60, 70)[:, :, 0] * 255).astype(np.uint8)).save(path)
    step, threads = make(), []
    analyse = Denoise.analyse

    def watched(self: Denoise, image: Image) -> NoiseAnalysis:
        threads.append(threading.current_thread())
        return analyse(self, image)

    monkeypatch.setattr(Denoise, "analyse", watched)
    report = batch.run(step, [path.parent], tmp_path / "out", batch.BatchOptions())
    assert report.records[0].stats["weights"] == GRAY
    assert [thread is threading.main_thread() for thread in threads] == [False]
    frame = images.read(path).frame(0)
    restored, _ = _restore(step, frame.normalized())
    np.testing.assert_array_equal(images.read(tmp_path / "out" / "scan.png").frame(0).stored, frame.encode(restored))


@pytest.mark.usefixtures("three")
def test_frames_of_a_film_are_denoised_at_one_level(make: Callable[..., Denoise], smooth: Smooth, tmp_path: Path) -> None:
    clean, random = 255 * smooth(96, 128)[:, :, 0], np.random.default_rng(4)

    def levels(name: str, sigmas: list[float]) -> object:
        frames = [np.rint(clean + random.normal(0, sigma, clean.shape)).clip(0, 255).astype(np.uint8) for sigma in sigmas]
        with tifffile.TiffWriter(tmp_path / name) as file:
            for frame in frames:
                file.write(frame, photometric="minisblack")
        report = batch.run(make(GRAY), [tmp_path / name], tmp_path / "out")
        assert report.done == 1
        return report.records[0].stats["noise_level"]

    assert levels("film.tif", [10] * 6) == pytest.approx(10, rel=0.2)
    brighter = levels("exposure.tif", [6, 6, 6, 12, 12, 12])
    assert isinstance(brighter, list) and brighter[0] < 8 and brighter[-1] > 10, "a real change stays"


@pytest.mark.usefixtures("three")
def test_a_frame_in_colour_keeps_its_own_analysis_and_a_film_has_one_kind_of_weights(make: Callable[..., Denoise]) -> None:
    gray, coloured = NoiseAnalysis(True, GRAY, NoiseLevel(0.0, 0.001)), NoiseAnalysis(False, COLOUR, NoiseLevel(0.0, 0.001))
    noisier = NoiseAnalysis(True, GRAY, NoiseLevel(0.0, 0.0012))
    image = Image(np.zeros((8, 8, 1), np.float32))
    assert make().unified(coloured, [gray, gray, noisier], image) is coloured
    assert make().unified(noisier, [gray, gray, noisier], image) is gray
    xray = NoiseAnalysis(True, XRAY, NoiseLevel(0.0, 0.00105))
    assert make().unified(xray, [gray, xray, noisier], image) is gray, "one frame of a film does not get other weights"
    assert make().unified(noisier, [xray, xray, gray], image) is xray
    assert not make(noise_level=5).unifies and make().unifies


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("channels", [1, 3])
def test_impulse_noise_is_removed_and_reported(make: Callable[..., Denoise], smooth: Smooth, channels: int) -> None:
    clean, draws = smooth(200, 220, channels), np.random.default_rng(0).random((200, 220, channels))
    noisy = np.where(draws < 0.05, np.rint(20 * draws), clean).astype(np.float32)
    restored, stats = _restore(make(), noisy, False)
    assert stats["impulse_noise"] == pytest.approx(0.05, rel=0.1)
    assert stats["noise_level"] < 1
    assert np.sqrt(np.mean((restored - clean) ** 2)) < 0.02  # 0.13 before
    np.testing.assert_allclose(_restore(make(strength=0), noisy, False)[0], noisy, atol=1e-6)
    assert "impulse_noise" not in _restore(make(), clean, False)[1]
