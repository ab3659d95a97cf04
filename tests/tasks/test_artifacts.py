"""Removal of JPEG artefacts end to end: what tells the quantisation, how results are coded, and training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

import restore
from restore import networks, weights
from restore.api import step
from restore.images import quantisation, read
from restore.images.orientation import upright
from restore.images.quantisation import Quantisation
from restore.inference import compression_traces, quantisation_constraint
from restore.inference.artifact_remover import ArtifactRemover
from restore.inference.denoiser import Denoiser
from restore.inference.loading import InferenceOptions
from restore.inference.self_ensemble import TRANSFORMS
from restore.pipeline.batch import BatchOptions
from restore.pipeline.step import Image as StepImage
from restore.pipeline.step import ImageInfo
from restore.runtime import Runtime
from restore.tasks.artifacts import ENSEMBLE, Artifacts

Smooth = Callable[..., np.ndarray]
SETTINGS: dict[str, Any] = {
    "channels": 3, "widths": [8, 12], "blocks": [1, 1], "chroma_widths": [8, 12], "condition": "quantisation", "luminance": "bt601",
}  # fmt: skip


@pytest.fixture
def remover(tmp_path: Path) -> Path:
    """Weights whose correction shows."""
    network = networks.build("luma_chroma_unet", **SETTINGS)
    tensors = {key: 3 * value if key.endswith("tail.weight") else value for key, value in network.state_dict().items()}
    path = tmp_path / "remover.safetensors"
    weights.save(path, tensors, {"task": "artifacts", "network": "luma_chroma_unet", "settings": SETTINGS})
    return path


@pytest.fixture
def textured(smooth: Smooth) -> Callable[..., np.ndarray]:
    """(H, W, C) uint8 with enough detail for every coefficient."""

    def make(height: int = 96, width: int = 120, channels: int = 1) -> np.ndarray:
        noise = np.random.default_rng(2).normal(0, 0.1, (height, width, channels))
        return np.asarray(np.rint(255 * np.clip(0.25 + 0.5 * (smooth(height, width, channels) + noise), 0, 1)), np.uint8)

    return make


def _run(source: Path, out: Path, file: Path, **rest: Any) -> Any:
    report = restore.run("artifacts", source, out, weights=file, precision="fp32", **rest)
    assert not report.failed, [record.error for record in report.records]
    (record,) = report.records
    return record


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_file_tells_its_table_and_pixels_tell_theirs(remover: Path, textured: Any, tmp_path: Path, mode: str, fp32: Runtime) -> None:
    picture = textured(channels=1 if mode == "L" else 3)
    Image.fromarray(picture.squeeze()).save(tmp_path / "a.jpg", quality=30)
    with Image.open(tmp_path / "a.jpg") as decoded:
        decoded.save(tmp_path / "b.png")
        pixels = np.asarray(decoded, np.float32).reshape(*picture.shape[:2], -1) / np.float32(255)
    model = ArtifactRemover.load(remover, InferenceOptions(fp32, ensemble=ENSEMBLE))
    expected = np.rint(255 * np.clip(model.remove(pixels, Quantisation.of_quality(30))[0], 0, 1))
    assert np.abs(expected - 255 * pixels).max() > 2
    for name, origin in (("a.jpg", "file"), ("b.png", "pixels")):
        (tmp_path / name[0]).mkdir()
        record = _run(tmp_path / name, tmp_path / name[0], remover, batch=BatchOptions(format="png"))
        assert (record.stats["compression"], record.stats["quality"]) == (origin, 30)
        with Image.open(record.output) as result:
            assert result.mode == mode
            apart = np.abs(np.asarray(result).reshape(picture.shape) - expected)
            assert apart.max() <= 1  # ties of rounding
            assert apart.mean() < 1e-3


def test_a_picture_without_traces_is_copied(remover: Path, textured: Any, tmp_path: Path) -> None:
    Image.fromarray(textured(channels=3)).save(tmp_path / "a.png")
    record = _run(tmp_path / "a.png", tmp_path / "out", remover)
    assert record.stats["compression"] == "none found"
    assert record.output.read_bytes() == (tmp_path / "a.png").read_bytes()
    record = _run(tmp_path / "a.png", tmp_path / "told", remover, options={"quality": 20})
    assert record.stats["compression"] == "specified"
    assert record.output.read_bytes() != (tmp_path / "a.png").read_bytes()


@pytest.mark.parametrize("kind", ["baseline", "progressive", "gray", "4:1:0"])
def test_a_jpeg_is_coded_finer_than_its_source(remover: Path, textured: Any, tmp_path: Path, kind: str) -> None:
    picture = textured(channels=1 if kind == "gray" else 3)
    if kind == "4:1:0":
        parameters = [cv2.IMWRITE_JPEG_QUALITY, 20, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411]
        cv2.imwrite(str(tmp_path / "a.jpg"), picture, parameters)
    else:
        Image.fromarray(picture.squeeze()).save(tmp_path / "a.jpg", quality=20, progressive=kind == "progressive", dpi=(300, 300))
    single = {"ensemble": "1"}  # an average of random corrections is small
    as_png = _run(tmp_path / "a.jpg", tmp_path / "png", remover, options=single, batch=BatchOptions(format="png"))
    as_jpeg = _run(tmp_path / "a.jpg", tmp_path / "jpg", remover, options=single)
    with Image.open(tmp_path / "a.jpg") as source, Image.open(as_png.output) as exact, Image.open(as_jpeg.output) as coded:
        assert coded.format == "JPEG"
        for number, steps in coded.quantization.items():
            finest = quantisation.table(95, chroma=number > 0).flatten()
            assert all(new <= min(old, fine) for new, old, fine in zip(steps, source.quantization[number], finest, strict=True))
        assert coded.info.get("dpi") == source.info.get("dpi")
        luma = [np.asarray(image.convert("L"), np.float64) for image in (source, exact, coded)]
    change, loss = np.abs(luma[0] - luma[1]).mean(), np.abs(luma[2] - luma[1]).mean()
    assert loss < 0.35 * change


def test_what_changes_few_pixels_keeps_a_jpegs_coding(textured: Any, tmp_path: Path) -> None:
    picture = textured().squeeze()
    Image.fromarray(picture).save(tmp_path / "a.jpg", quality=20)
    Image.fromarray(np.where(np.indices(picture.shape)[0] < 4, 255, 0).astype(np.uint8)).save(tmp_path / "mask.png")
    report = restore.run("inpaint", tmp_path / "a.jpg", tmp_path / "out", options={"masks": tmp_path / "mask.png", "method": "telea"})
    with Image.open(tmp_path / "a.jpg") as source, Image.open(report.records[0].output) as result:  # type: ignore[arg-type]
        assert result.quantization == source.quantization


def test_a_denoised_jpeg_is_coded_finer(weights_file: Any, textured: Any, tmp_path: Path) -> None:
    """The source's steps would undo a part of what was removed, so that a good JPEG would lose."""
    source = tmp_path / "a.jpg"
    Image.fromarray(textured(96, 96, 3)).save(source, quality=60)
    weights, options = weights_file(tmp_path / "w.safetensors", channels=3), {"noise_level": 20}
    restore.run("denoise", source, tmp_path / "out", weights=weights, options=options)
    restore.run("denoise", source, tmp_path / "out", weights=weights, options=options, batch=BatchOptions(format="png"))
    before, coded, lossless = (
        read(path).frame(0).stored.astype(float) for path in (source, tmp_path / "out/a.jpg", tmp_path / "out/a.png")
    )
    assert np.square(before - lossless).mean() > 4
    assert np.square(coded - lossless).mean() < 3


def test_the_file_tells_nothing_of_what_an_earlier_step_enlarged(remover: Path, textured: Any) -> None:
    made = step("artifacts", weights=remover)
    assert isinstance(made, Artifacts)
    pixels = textured(64, 64).astype(np.float32) / 255
    told = StepImage(pixels, info=ImageInfo(size=(64, 64), quantisation=Quantisation.of_quality(30)))
    enlarged = StepImage(pixels, info=ImageInfo(size=(32, 32), quantisation=Quantisation.of_quality(30)))
    assert made.analyse(told).origin == "file"
    assert made.analyse(enlarged).origin == "none found"


def test_tiles_are_the_whole_picture(remover: Path, textured: Any, fp32: Runtime) -> None:
    pixels = textured(203, 181, 3).astype(np.float32) / 255
    blocks = Quantisation.of_quality(15, 5, 2)
    whole, tiled = (ArtifactRemover.load(remover, InferenceOptions(fp32, tile)).remove(pixels, blocks)[0] for tile in (0, 128))
    assert np.abs(whole - pixels).max() > 0.02
    np.testing.assert_allclose(tiled, whole, atol=1 / 255)


def test_equal_channels_stay_equal_and_strength_scales(remover: Path, textured: Any, fp32: Runtime) -> None:
    pixels = np.repeat(textured(64, 64), 3, axis=2).astype(np.float32) / 255
    model = ArtifactRemover.load(remover, InferenceOptions(fp32))
    restored = model.remove(pixels, Quantisation.of_quality(10))[0]
    assert np.ptp(restored, axis=2).max() == 0
    half = model.remove(pixels, Quantisation.of_quality(10), 0.5)[0]
    np.testing.assert_allclose(half - pixels, (restored - pixels) / 2, atol=1e-5)
    np.testing.assert_array_equal(model(pixels, 10, strength=0), pixels)


def test_a_network_without_the_condition_is_refused(tiny: Any, weights_file: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not take the quantisation"):
        ArtifactRemover(tiny())
    with pytest.raises(ValueError, match="is a denoise model"):
        restore.run("artifacts", tmp_path, tmp_path / "out", weights=weights_file(tmp_path / "w.safetensors"))
    assert isinstance(restore.load(weights_file(tmp_path / "w.safetensors")), Denoiser)


def test_it_is_trained_and_used_by_its_name(photos: Any, own_weights: Path) -> None:
    assert own_weights.is_dir()
    small = {"network.widths": "8,12", "network.blocks": "1,1", "network.chroma_widths": "8,12", "data.crop": "32", "loop.batch_size": "2"}
    restore.train("artifacts", photos(Path("photos"), channels=3), overrides={**small, "loop.steps": "2"}, out="runs/a")
    recipe = weights.find("runs/a").recipe
    assert (recipe["task"], recipe["settings"]["condition"], recipe["settings"]["luminance"]) == ("artifacts", "quantisation", "bt601")
    assert recipe["training"]["compression"]["twice_fraction"] == 0.25
    assert isinstance(restore.load("a"), ArtifactRemover)


def test_the_noise_of_another_network_is_refused(photos: Any, own_weights: Path) -> None:
    assert own_weights.is_dir()
    with pytest.raises(ValueError, match="takes a noise map, which artifacts does not make"):
        restore.train("artifacts", photos(Path("photos")), overrides={"network.condition": "noise"}, out="runs/a")


ORIENTATIONS = {(0, False): 1, (0, True): 2, (2, False): 3, (2, True): 4, (3, True): 5, (3, False): 6, (1, True): 7, (1, False): 8}
"""Rotations and flip -> the EXIF orientation that does the same."""


@pytest.mark.parametrize("ensemble", [2, 8])
def test_each_run_of_an_ensemble_gets_the_blocks_as_they_lie_there(
    remover: Path, textured: Any, fp32: Runtime, ensemble: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantisation_constraint, "HALF_WIDTH", 1e6)  # it would limit each result and the average alike
    height, width = 44, 68  # whole cells of the network, but no whole blocks
    pixels = textured(height, width, 3).astype(np.float32) / np.float32(255)
    steps = [*quantisation.table(20).flatten().astype(int)]
    together, alone = (ArtifactRemover.load(remover, InferenceOptions(fp32, ensemble=count)) for count in (ensemble, 1))
    results = []
    for transform in TRANSFORMS[:ensemble]:
        tag = ORIENTATIONS[transform]
        found = quantisation.from_file(steps, height, width, tag)
        assert found is not None
        results.append(upright(alone.remove(upright(pixels, tag), found)[0], {6: 8, 8: 6}.get(tag, tag)))
    assert np.abs(results[1] - results[0]).max() > 1e-4
    upright_blocks = quantisation.from_file(steps, height, width, 1)
    assert upright_blocks is not None
    averaged = together.remove(pixels, upright_blocks)[0]
    np.testing.assert_allclose(averaged, np.mean(results, axis=0), atol=1e-5)


def test_the_ensemble_of_the_step(remover: Path, textured: Any, tmp_path: Path) -> None:
    Image.fromarray(textured(channels=3)).save(tmp_path / "a.jpg", quality=20)
    runs = {
        count: _run(tmp_path / "a.jpg", tmp_path / count, remover, options={"ensemble": count}, batch=BatchOptions(format="png"))
        for count in ("auto", "1", "2", "4")
    }
    pixels = {count: record.output.read_bytes() for count, record in runs.items()}
    assert pixels["auto"] == pixels["2"]
    assert len({*pixels.values()}) == 3


def _decoded(picture: np.ndarray, quality: int) -> np.ndarray:
    """A gray picture (H, W) uint8 coded as JPEG and decoded."""
    coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE))


def _film(photograph: Smooth) -> list[np.ndarray]:
    """9 frames of one scene with noise, (120, 144) uint8. The fourth has grain in which no edges of blocks are to be seen."""
    scene, random = 255 * photograph(120, 144)[:, :, 0], np.random.default_rng(0)
    frames = [scene + random.normal(0, 3, scene.shape) for _ in range(9)]
    stripes = np.zeros(120)
    stripes[3::8] = 18
    frames[3] = frames[3] + stripes[:, None] + random.normal(0, 6, scene.shape)
    return [np.rint(frame).clip(2, 253).astype(np.uint8) for frame in frames]


def _qualities(frames: list[np.ndarray], folder: Path, file: Path, **rest: Any) -> tuple[object, object]:
    """The stats of a TIFF with these pages."""
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", np.stack(frames), photometric="minisblack")
    stats = _run(folder / "a.tif", folder / "out", file, **rest).stats
    return stats["compression"], stats.get("quality")


def test_frames_of_a_film_are_restored_by_one_quality(remover: Path, photograph: Smooth, tmp_path: Path) -> None:
    frames = [_decoded(frame, 80)[5:, 3:] for frame in _film(photograph)]  # cut, so that the blocks must be searched for
    assert compression_traces.find(frames[3][:, :, None].astype(np.float32) / 255) is None, "the test needs a frame that is misjudged alone"
    assert _qualities(frames, tmp_path / "film", remover) == ("pixels", 80)


def test_frames_that_were_coded_otherwise_keep_their_own_quality(remover: Path, photograph: Smooth, tmp_path: Path) -> None:
    clean = _film(photograph)
    frames = [_decoded(frame, 80) for frame in clean]
    frames[1], frames[3], frames[5] = _decoded(clean[1], 40), clean[3], clean[5]  # the samples are 0, 2, 4, 6, 8
    _, qualities = _qualities(frames, tmp_path / "mixed", remover)
    assert qualities == [80, 40, 80, None, 80, None, 80, 80, 80]
    assert _qualities(frames, tmp_path / "told", remover, options={"quality": 30}) == ("specified", 30)
    assert _qualities(clean, tmp_path / "clean", remover)[0] == "none found"
