"""`restore train colorize` and `restore colorize`: training on chroma, and what is coloured, refused and redone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import restore
from restore import weights
from restore.images import luma, read
from restore.pipeline.batch_options import BatchOptions
from restore.pipeline.step import Image as StepImage
from restore.pipeline.step import ImageInfo
from restore.tasks.colorize_training import ColorizeConfig, prepare, vary_exposure
from restore.training import config
from restore.training.losses import chroma

Photos = Callable[..., Path]
DATA = Path(__file__).resolve().parents[2] / "data" / "xray"
TINY = {
    "network.widths": "8,8", "network.dilations": "1,2", "data.crop": "32", "data.scales": "0.5,1.0", "loop.steps": "2",
    "loop.batch_size": "2", "precision": "fp32", "device": "cpu", "losses.lpips_weight": "0", "discriminator.width": "8",
}  # fmt: skip


@pytest.fixture
def colour_weights(tiny: Callable[..., torch.nn.Module], tmp_path: Path) -> Path:
    """Weights of a tiny network that gives every picture an orange tint."""
    network = tiny("colorizer", 3)
    with torch.no_grad():
        network.tail.bias.copy_(torch.tensor([-0.1, 0.1]))
    path = tmp_path / "tint.safetensors"
    settings = {"channels": 3, "widths": [8, 8, 12], "dilations": [1, 2]}
    weights.save(path, network.state_dict(), {"task": "colorize", "network": "colorizer", "settings": settings})
    return path


def test_the_input_is_the_targets_luma_and_crops_stay_upright(tmp_path: Path) -> None:
    slope = np.repeat(np.linspace(255, 0, 48).astype(np.uint8)[:, None], 48, 1)
    (tmp_path / "in").mkdir()
    for name in "ab":
        Image.fromarray(np.stack([slope, slope // 2, slope // 3], 2)).save(tmp_path / "in" / f"{name}.png")
    dataset = prepare(tmp_path / "in", config.resolve(ColorizeConfig, None, TINY)).dataset
    for item in (dataset[index] for index in range(8)):
        gray = torch.tensor([0.299, 0.587, 0.114]) @ item["target"].flatten(1)
        torch.testing.assert_close(item["input"][0].flatten(), gray, atol=1e-5, rtol=0)
        assert torch.equal(item["input"][0], item["input"][2])
        assert item["input"][0, 0].mean() > item["input"][0, -1].mean()


@pytest.mark.parametrize("adversarial", ["0", "0.1"])
def test_a_run_publishes_weights_that_colour(adversarial: str, photos: Photos, tmp_path: Path) -> None:
    source = photos(tmp_path / "in", 4, size=(48, 60), channels=3)
    run = restore.train("colorize", source, overrides={**TINY, "losses.adversarial_weight": adversarial}, out=tmp_path / "run")
    assert run.weights is not None
    assert weights.entry(run.weights).recipe["task"] == "colorize"
    gray = photos(tmp_path / "gray", 2)
    report = restore.run("colorize", gray, tmp_path / "out", weights=run.weights, precision="fp32", device="cpu")
    assert [record.status for record in report.records] == ["done", "done"]
    for path in sorted(gray.iterdir()):
        result = Image.open(tmp_path / "out" / path.name)
        assert result.mode == "RGB"
        assert np.array_equal(np.asarray(result.convert("L")), np.asarray(Image.open(path)))


def test_exposure_changes_the_luma_and_keeps_the_chroma() -> None:
    crop = np.random.default_rng(0).uniform(0.4, 0.6, (16, 16, 3)).astype(np.float32)
    changed = [vary_exposure(crop, np.random.default_rng(seed), most=0.35) for seed in range(8)]
    assert np.ptp([one.mean() for one in changed]) > 0.05
    for one in changed:
        assert one.dtype == np.float32
        np.testing.assert_allclose(luma.chroma(one), luma.chroma(crop), atol=1e-6)


def test_a_teacher_and_a_discriminator_are_refused(photos: Photos, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without a discriminator"):
        restore.train("colorize", photos(tmp_path / "in", channels=3), overrides={**TINY, "distillation_weight": "1"}, out=tmp_path / "run")


def test_gray_pictures_teach_no_colours(photos: Photos, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="are gray: colours are learnt from colour pictures"):
        restore.train("colorize", photos(tmp_path / "in"), overrides=TINY, out=tmp_path / "run")


@pytest.mark.parametrize("batch", ["1", "8"])
def test_a_few_colour_pictures_among_gray_ones_teach_colours(photos: Photos, tmp_path: Path, batch: str) -> None:
    source = photos(tmp_path / "in", 12)
    photos(tmp_path / "in" / "more", 1, channels=3)
    result = restore.train("colorize", source, overrides={**TINY, "loop.batch_size": batch}, out=tmp_path / "run", dry_run=True)
    assert result.steps == 0


def test_gray_training_is_refused(photos: Photos, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"leave data\.channels at 3"):
        restore.train("colorize", photos(tmp_path / "in", channels=3), overrides={**TINY, "data.channels": "1"}, out=tmp_path / "run")


def _run(source: Path, out: Path, weights: Path, **options: object) -> restore.pipeline.batch.Report:
    return restore.run("colorize", source, out, weights=weights, options=options, precision="fp32", device="cpu")


def test_dicom_and_radiographs_are_refused_and_nothing_else_stops(colour_weights: Path, photos: Photos, tmp_path: Path) -> None:
    source = photos(tmp_path / "in", 1)
    for path in (DATA / "dicom" / "chest_cr_jpeg.dcm", sorted((DATA / "chest").iterdir())[0]):
        (source / path.name).write_bytes(path.read_bytes())
    report = _run(source, tmp_path / "out", colour_weights)
    errors = {record.input.suffix: record.error for record in report.records}
    assert "a DICOM image is not coloured" in errors[".dcm"]
    assert "it looks like a radiograph" in errors[".jpeg"]
    assert "--content photograph" in errors[".jpeg"] and 'content = "photograph"' in errors[".jpeg"]  # a pipeline's step has no flag
    assert [record.status for record in report.records].count("done") == 1


def test_the_user_says_what_pictures_show_but_not_of_dicom(colour_weights: Path, photos: Photos, tmp_path: Path) -> None:
    source = photos(tmp_path / "in", 1)
    for path in (DATA / "dicom" / "chest_cr_jpeg.dcm", sorted((DATA / "chest").iterdir())[0]):
        (source / path.name).write_bytes(path.read_bytes())
    photograph = _run(source, tmp_path / "photograph", colour_weights, content="photograph")
    assert {record.input.suffix: record.status for record in photograph.records} == {".dcm": "failed", ".jpeg": "done", ".png": "done"}
    radiograph = _run(source, tmp_path / "radiograph", colour_weights, content="radiograph")
    assert {record.status for record in radiograph.records} == {"failed"}


def test_a_chain_cannot_get_past_the_refusal(colour_weights: Path) -> None:
    step = restore.api.step("colorize", weights=colour_weights)
    image = StepImage(np.full((8, 8, 1), 0.5, np.float32), info=ImageInfo(radiograph=False))
    with pytest.raises(ValueError, match="DICOM"):
        step(image)


def test_colour_files_get_new_colours_from_their_luma(colour_weights: Path, photos: Photos, tmp_path: Path) -> None:
    source = photos(tmp_path / "in", 1, channels=3)
    _run(source, tmp_path / "out", colour_weights)
    before, after = (np.asarray(Image.open(folder / "0.png")).astype(float) for folder in (source, tmp_path / "out"))
    weights_ = [0.299, 0.587, 0.114]
    assert np.abs(before @ weights_ - after @ weights_).max() < 0.81
    assert (after[..., 0] - after[..., 2]).mean() > 20


def test_strength_zero_is_gray_in_colour_channels(colour_weights: Path, photos: Photos, tmp_path: Path) -> None:
    source = photos(tmp_path / "in", 1)
    _run(source, tmp_path / "out", colour_weights, strength=0.0)
    result = np.asarray(Image.open(tmp_path / "out" / "0.png"))
    assert np.array_equal(result, np.repeat(np.asarray(Image.open(source / "0.png"))[..., None], 3, 2))


def test_the_hint_decides_the_palette_and_its_content_the_rerun(colour_weights: Path, photos: Photos, tmp_path: Path) -> None:
    source, hint = photos(tmp_path / "in", 1, size=(60, 60)), tmp_path / "hint.png"
    for colour in ((40, 160, 60), (60, 80, 200)):
        rows = np.linspace(0.5, 1.2, 50)[:, None, None]
        Image.fromarray(np.clip(rows * np.float32(colour) * np.ones((50, 40, 1)), 0, 255).astype(np.uint8)).save(hint)
        assert [record.status for record in _run(source, tmp_path / "out", colour_weights, hint=hint).records] == ["done"]
        means = np.asarray(Image.open(tmp_path / "out" / "0.png")).mean((0, 1))
        assert np.argmax(means) == np.argmax(colour)
        assert [record.status for record in _run(source, tmp_path / "out", colour_weights, hint=hint).records] == ["skipped"]


@pytest.mark.parametrize("salvage", [False, True])
def test_bad_hints_are_refused_before_the_run(colour_weights: Path, photos: Photos, tmp_path: Path, salvage: bool) -> None:
    source, cut = photos(tmp_path / "in", 2), tmp_path / "cut.png"
    cut.write_bytes((photos(tmp_path / "colour", 1, channels=3) / "0.png").read_bytes()[:-2000])
    (tmp_path / "text.png").write_text("no picture")
    bad = {"none.png": "none.png is no file", "in/0.png": "the hint is gray", "text.png": "text.png", "cut.png": "cut.png: .*truncated"}
    for name, why in bad.items():
        with pytest.raises(ValueError, match=why) as refused:
            restore.run(
                "colorize", source, tmp_path / "out", weights=colour_weights, options={"hint": tmp_path / name}, precision="fp32",
                device="cpu", batch=BatchOptions(salvage=salvage),
            )  # fmt: skip
        assert "--salvage" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_hint_hides_its_transparent_colours(colour_weights: Path, photos: Photos, tmp_path: Path) -> None:
    source, results = photos(tmp_path / "in", 1, size=(60, 60)), []
    for hidden in ((255, 0, 255), (0, 0, 0)):
        hint = np.zeros((60, 60, 4), np.uint8)
        hint[..., :3] = hidden
        hint[10:50, 10:50] = (40, 160, 60, 255)
        hint[10:50, 10:50, :3] = hint[10:50, 10:50, :3] * np.linspace(0.5, 1.2, 40)[:, None, None]
        Image.fromarray(hint).save(tmp_path / "hint.png")
        _run(source, tmp_path / "out", colour_weights, hint=tmp_path / "hint.png")
        results.append(np.asarray(Image.open(tmp_path / "out" / "0.png")))
    np.testing.assert_array_equal(*results)
    assert np.argmax(results[0].mean((0, 1))) == 1


def test_sixteen_bits_and_pages_stay(colour_weights: Path, tmp_path: Path) -> None:
    import tifffile

    gray = np.random.default_rng(0).integers(0, 65536, (2, 40, 50), dtype=np.uint16)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "a.tif", gray, photometric="minisblack")
    _run(tmp_path / "in", tmp_path / "out", colour_weights)
    result = read(tmp_path / "out" / "a.tif")
    assert result.frames == 2
    for index in range(2):
        stored = result.frame(index).stored
        assert stored.dtype == np.uint16
        assert np.array_equal(np.rint(stored @ [0.299, 0.587, 0.114]), gray[index])


def test_the_chroma_loss_counts_saturated_colours_more() -> None:
    gray, blue = torch.full((1, 3, 8, 8), 0.5), torch.tensor([0.2, 0.4, 0.9])[None, :, None, None].expand(1, 3, 8, 8)
    target = torch.cat([gray, blue], 3)
    assert chroma(target, target) < 0.002
    missed_blue, missed_gray = torch.cat([gray, gray], 3), torch.cat([blue, blue], 3)
    assert chroma(missed_blue, target) > 2 * chroma(missed_gray, target)
    with pytest.raises(ValueError, match="needs colour"):
        chroma(gray[:, :1], gray[:, :1])


def test_the_chroma_loss_ignores_the_luma_and_its_gradient_is_finite() -> None:
    prediction = torch.rand(2, 3, 8, 8, requires_grad=True)
    chroma(prediction * 1.4 - 0.2, torch.rand(2, 3, 8, 8)).backward()
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()
    dark, bright = (torch.full((1, 3, 8, 8), value) for value in (0.2, 0.9))
    assert chroma(dark, bright) < 0.01
