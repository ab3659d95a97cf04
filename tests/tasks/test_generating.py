"""`restore generate` from its weights to its folder: seeds, classes, manifest, resuming, bit depth."""

from __future__ import annotations

import csv
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import restore
from restore import weights
from restore.images import read
from restore.inference.generator import BLOCK, Generator
from restore.metrics.extractors import EXTRACTORS
from restore.networks import generators
from restore.networks.generators.dcgan import DCGANConfig, DCGANDiscriminatorConfig
from restore.networks.generators.r3gan import R3GANConfig
from restore.networks.generators.spec import GeneratorSpec
from restore.pipeline.batch import Interrupted
from restore.pipeline.manifest import Manifest
from restore.pipeline.records import Event, Report
from restore.tasks import generate_training, validating_samples
from restore.tasks.generate_training import CGANConfig, SampleDataConfig
from restore.tasks.generation_options import GenerationOptions
from restore.tasks.training_methods import METHODS
from restore.training.config import resolve
from restore.training.loop_config import LoopConfig

Make = Callable[..., Path]


@pytest.fixture
def generator_file(tmp_path: Path) -> Make:
    """Writes the weights of a tiny generator."""

    def make(labels: tuple[str, ...] = ("normal", "pneumonia"), bits: int = 8, channels: int = 1) -> Path:
        torch.manual_seed(0)
        config = R3GANConfig(latent=8, width=4, widest=8, group=4)
        settings = generators.settings_of(config, channels=channels, side=16, classes=len(labels))
        network = generators.build("r3gan", settings)
        recipe = {"task": "generate", "network": "r3gan", "settings": settings, "labels": list(labels), "bits": bits}
        weights.save(tmp_path / "tiny.safetensors", network.state_dict(), recipe, dtype=torch.float32)
        return tmp_path / "tiny.safetensors"

    return make


def _made(file: Path, out: Path, **options: object) -> tuple[Report, dict[str, bytes]]:
    report = restore.generate(file, out, options, device="cpu")
    return report, {
        path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*.png")) if ".restore" not in path.parts
    }


def _manifest(out: Path) -> list[dict[str, str]]:
    with (out / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_pictures_lie_in_the_folders_of_their_classes_with_their_seeds(generator_file: Make, tmp_path: Path) -> None:
    report, files = _made(generator_file(), tmp_path / "out", count=5, seed=3)
    assert (report.done, report.failed, report.planned) == (5, 0, 5)
    assert list(files) == [
        "normal/00000004.png", "normal/00000006.png", "pneumonia/00000003.png", "pneumonia/00000005.png", "pneumonia/00000007.png"
    ]  # fmt: skip
    rows = _manifest(tmp_path / "out")
    listed = [(row["path"], row["label"], int(row["seed"])) for row in rows]
    assert listed == [(name, name.split("/")[0], int(name[-12:-4])) for name in files]
    assert len(set(files.values())) == 5
    picture = np.asarray(Image.open(tmp_path / "out" / "normal" / "00000004.png"))
    assert picture.shape == (16, 16) and picture.dtype == np.uint8


def test_a_seed_gives_the_same_picture_in_any_run(generator_file: Make, tmp_path: Path) -> None:
    """All in one run, in two runs that divide them as two processes would, and one alone."""
    file = generator_file()
    count = 2 * BLOCK + 3
    _, together = _made(file, tmp_path / "all", count=count)
    _, first = _made(file, tmp_path / "a", count=BLOCK + 5)
    _, second = _made(file, tmp_path / "b", count=count - BLOCK - 5, seed=BLOCK + 5)
    assert {**first, **second} == together
    _, alone = _made(file, tmp_path / "one", count=1, seed=17)
    assert alone == {name: data for name, data in together.items() if name.endswith("00000017.png")}
    _, labelled = _made(file, tmp_path / "two", count=1, seed=17, label="pneumonia")
    assert labelled == alone  # 17 is odd


def test_a_class_can_be_asked_for(generator_file: Make, tmp_path: Path) -> None:
    _, files = _made(generator_file(), tmp_path / "out", count=4, label="normal")
    assert {name.split("/")[0] for name in files} == {"normal"}
    with pytest.raises(ValueError, match=r"no class 'pneumonie': there are normal, pneumonia \(did you mean pneumonia\?\)"):
        _made(generator_file(), tmp_path / "other", label="pneumonie")
    assert not (tmp_path / "other").exists()


def test_what_makes_no_picture_is_refused(generator_file: Make, tmp_path: Path) -> None:
    generator = Generator.load(generator_file())
    mistakes: list[tuple[tuple[Any, ...], str]] = [
        (([1], None, float("nan")), "'truncation' must be in 0..2"), (([1], None, "a"), "must be a number"), ((17,), "must be a list"),
        (([1.5],), "whole number"), (([True],), "whole number"), (([-1],), "whole number"), (("17",), "must be a list"),
        (([1], 3), "no class 3"),
    ]  # fmt: skip
    for arguments, message in mistakes:
        with pytest.raises(ValueError, match=message):
            generator(*arguments)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"cuont": 1}, "did you mean count"), ({"count": True}, "must be a number"), ({"truncation": "a"}, "must be a number")
    ]  # fmt: skip
    for options, message in wrong:
        with pytest.raises(ValueError, match=message):
            restore.generate(generator_file(), tmp_path / "out", options)
    assert not (tmp_path / "out").exists()


def test_a_generator_without_classes_makes_a_flat_folder(generator_file: Make, tmp_path: Path) -> None:
    _, files = _made(generator_file(labels=()), tmp_path / "out", count=2)
    assert list(files) == ["00000000.png", "00000001.png"]


def test_a_second_run_skips_and_a_longer_one_continues(generator_file: Make, tmp_path: Path) -> None:
    file = generator_file()
    _, before = _made(file, tmp_path / "out", count=4)
    dates = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.png")}
    report, after = _made(file, tmp_path / "out", count=6)
    assert (report.skipped, report.done) == (4, 2) and before.items() <= after.items()
    assert all(path.stat().st_mtime_ns == date for path, date in dates.items())
    (tmp_path / "out" / "normal" / "00000002.png").write_bytes(b"cut")
    report, again = _made(file, tmp_path / "out", count=6)
    assert (report.skipped, report.done) == (5, 1) and again == after
    assert next(record.warnings[0] for record in report.records if record.status == "done").startswith("00000002.png had been changed")
    assert (tmp_path / "out/.restore/replaced/normal/00000002.png.edited").read_bytes() == b"cut"
    report, other = _made(file, tmp_path / "out", count=6, truncation=0.5)
    assert report.done == 6 and other != after
    assert len(_manifest(tmp_path / "out")) == 6
    report, _ = _made(file, tmp_path / "out", count=6, truncation=0.5, overwrite=True)
    assert report.done == 6


def test_a_foreign_file_stays_and_is_reported(generator_file: Make, tmp_path: Path) -> None:
    own = tmp_path / "out" / "normal" / "00000000.png"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    report, files = _made(generator_file(), tmp_path / "out", count=3)
    assert (report.failed, report.done) == (1, 2) and files["normal/00000000.png"] == b"mine"
    assert "no run of restore made" in report.records[0].error
    assert len(_manifest(tmp_path / "out")) == 2


@pytest.mark.parametrize(("bits", "channels"), [(16, 1), (8, 3), (16, 3)])
def test_the_bit_depth_of_the_training_pictures_is_kept(generator_file: Make, tmp_path: Path, bits: int, channels: int) -> None:
    file = generator_file(bits=bits, channels=channels)
    _made(file, tmp_path / "out", count=2, seed=0, label="normal")
    path = tmp_path / "out" / "normal" / "00000000.png"
    picture = read(path)
    stored = picture.frame(0).stored
    assert stored.dtype == (np.uint16 if bits == 16 else np.uint8) and stored.shape == ((16, 16) if channels == 1 else (16, 16, 3))
    expected = restore.load(file, device="cpu", precision="fp32")([0], "normal")[0]
    assert np.abs(picture.frame(0).normalized() - expected).max() <= 0.51 / (2**bits - 1)


def test_the_bit_depth_is_that_of_the_first_readable_file(photos: Callable[..., Path], tmp_path: Path) -> None:
    eight = photos(tmp_path / "eight", 1) / "0.png"
    Image.fromarray(np.full((9, 9), 40_000, np.uint16)).save(tmp_path / "sixteen.png")
    (tmp_path / "broken.png").write_bytes(b"broken")
    assert generate_training.bits_of([eight]) == 8
    assert generate_training.bits_of([tmp_path / "broken.png", tmp_path / "sixteen.png", eight]) == 16


def test_the_way_between_two_seeds(generator_file: Make, tmp_path: Path) -> None:
    file = generator_file()
    report, files = _made(file, tmp_path / "out", count=5, interpolate=(3, 8), label="normal")
    assert report.done == 5 and list(files) == [f"normal/3-8-{index:04d}.png" for index in range(5)]
    assert [float(row["fraction"]) for row in _manifest(tmp_path / "out")] == [0, 0.25, 0.5, 0.75, 1]
    ends = restore.load(file, device="cpu", precision="fp32")([3, 8], "normal")
    shown = [read(tmp_path / "out" / "normal" / f"3-8-{index:04d}.png").frame(0).normalized() for index in (0, 4)]
    assert max(np.abs(end - picture).max() for end, picture in zip(ends, shown, strict=True)) < 0.01
    (tmp_path / "out" / "normal" / "3-8-0002.png").unlink()
    report, again = _made(file, tmp_path / "out", count=5, interpolate=(3, 8), label="normal")
    assert (report.done, report.skipped) == (1, 4) and again == files
    report, _ = _made(file, tmp_path / "out", count=5, interpolate=(3, 8), label="normal")
    assert (report.done, report.skipped) == (0, 5)


def test_the_grid_shows_the_first_pictures(generator_file: Make, tmp_path: Path) -> None:
    _made(generator_file(), tmp_path / "out", count=12, grid=tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (2 * 18 + 2, 10 * 18 + 2, 3)
    first = np.asarray(Image.open(tmp_path / "out" / "normal" / "00000000.png"))
    assert np.array_equal(sheet[2:18, 2:18, 0], first)


def test_no_side_file_replaces_what_is_not_its_own(generator_file: Make, tmp_path: Path) -> None:
    file, out = generator_file(), tmp_path / "out"
    out.mkdir()
    (out / "manifest.csv").write_text("precious\n")
    with pytest.raises(ValueError, match=r"manifest\.csv is a file that no run of restore made: move it"):
        _made(file, out, count=1)
    assert (out / "manifest.csv").read_text() == "precious\n"
    (out / "manifest.csv").unlink()
    with pytest.raises(ValueError, match="is one of the pictures of this run"):
        _made(file, out, count=1, grid=out / "normal" / "00000000.png")
    for inside in (out / "sheet.png", out / "normal" / "sheet.png", out / ".." / out.name / "sheet.png"):
        with pytest.raises(ValueError, match=r"lies inside the folder .* name a grid outside it"):
            _made(file, out, count=1, grid=inside)
    with pytest.raises(ValueError, match=r"the grid is a PNG file: name .*sheet\.png"):
        _made(file, out, count=1, grid=tmp_path / "sheet.jpg")
    with pytest.raises(ValueError, match=r"manifest\.csv is the manifest of this run"):
        restore.generate(file, out, {"count": 1}, device="cpu", report=out / "manifest.csv")
    photo = tmp_path / "photo.png"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(photo)
    before = photo.read_bytes()
    with pytest.raises(ValueError, match=r"photo\.png is a file that no run of restore made"):
        _made(file, out, count=1, grid=photo)
    with pytest.raises(ValueError, match=r"photo\.png is a picture: name another file"):
        restore.generate(file, out, {"count": 1}, device="cpu", report=photo)
    assert photo.read_bytes() == before and not list(out.rglob("*.png"))
    for overwrite in (True, False):  # then it is a grid, which the next run replaces
        _made(file, out, count=2, grid=photo, overwrite=overwrite)
        assert photo.read_bytes() != before


def test_a_full_disk_is_reported_with_the_picture(generator_file: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "a temporary file")

    monkeypatch.setattr(Manifest, "commit", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*out/normal/00000000\.png'"):
        _made(generator_file(), tmp_path / "out", count=1)


def test_a_stopped_run_lists_what_it_made(generator_file: Make, tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if event.index == 20:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as stopped:
        restore.generate(generator_file(), tmp_path / "out", {"count": 60}, device="cpu", on_event=stop)
    listed = [row["path"] for row in _manifest(tmp_path / "out")]
    assert sorted(listed) == sorted(record.input.as_posix() for record in stopped.value.report.records)
    assert 20 <= len(listed) < 60
    assert all((tmp_path / "out" / path).is_file() for path in listed)
    report, files = _made(generator_file(), tmp_path / "out", count=60)
    assert report.skipped >= 20
    assert [row["path"] for row in _manifest(tmp_path / "out")] == sorted(files)


@pytest.mark.parametrize("labels", [("..", "b"), ("a/../../b", "b"), ("a", "A")])
def test_hostile_labels_reach_no_folder(generator_file: Make, tmp_path: Path, labels: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="recipe whose labels cannot be"):
        _made(generator_file(labels=labels), tmp_path / "in" / "out", count=2)
    assert not (tmp_path / "in").exists()


def test_other_weights_are_refused(weights_file: Make, generator_file: Make, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a denoise model; generate needs a generate model"):
        restore.generate(weights_file(tmp_path / "d.safetensors"), tmp_path / "out")
    with pytest.raises(ValueError, match="'count' must be in"):
        restore.generate(generator_file(), tmp_path / "out", {"count": 0})
    assert not (tmp_path / "out").exists()


def test_training_then_generating(photos: Callable[..., Path], tmp_path: Path) -> None:
    """A run on class folders publishes weights that generate its classes; it resumes, and its page shows previews."""
    for name in ("cats", "dogs"):
        photos(tmp_path / "pets" / name, 3)
    settings = {
        "generator.width": "4", "generator.widest": "8", "discriminator_network.width": "4", "data.crop": "16", "loop.batch_size": "4",
        "loop.checkpoint_every": "1", "loop.preview_every": "1", "loop.steps": "2", "device": "cpu", "precision": "fp32",
        "monitor.every": "1", "loop.validate_every": "0",
    }  # fmt: skip
    restore.train("cgan", tmp_path / "pets", overrides=settings, out=tmp_path / "run")
    run = restore.train("cgan", tmp_path / "pets", overrides={"loop.steps": "3"}, out=tmp_path / "run", resume=True)
    assert run.steps == 3 and run.stats["classes"] == "cats, dogs"
    recipe = weights.find(tmp_path / "run").recipe
    assert (recipe["task"], recipe["labels"], recipe["bits"], recipe["settings"]["classes"]) == ("generate", ["cats", "dogs"], 8, 2)
    assert sorted(path.name for path in (tmp_path / "run" / "previews").glob("*.png")) == [f"{step:06d}.png" for step in range(4)]
    assert "Previews" in (tmp_path / "run" / "run.html").read_text()
    _, files = _made(tmp_path / "run", tmp_path / "out", count=4)
    assert {name.split("/")[0] for name in files} == {"cats", "dogs"}
    # what was generated is a data set with labels, by its folders and by its manifest
    for labels in ("folders", "manifest.csv"):
        run = restore.train(
            "cgan", tmp_path / "out", overrides={**settings, "data.labels": labels, "start_from": str(tmp_path / "run")}, dry_run=True
        )
        assert run.stats["classes"] == "cats, dogs"
    with pytest.raises(ValueError, match=r"start_from=.*: these weights were made with data.crop=\d+, the run has 32: set it so"):
        start = {**settings, "data.labels": "folders", "data.crop": "32", "start_from": str(tmp_path / "run")}
        restore.train("cgan", tmp_path / "out", overrides=start, dry_run=True)
    with pytest.raises(ValueError, match=r"know 2 classes \(cats, dogs\), the dataset has 0 \(none\)"):
        start = {**settings, "data.labels": "none", "start_from": str(tmp_path / "run")}
        restore.train("cgan", tmp_path / "out", overrides=start, dry_run=True)


def test_generated_pictures_are_mixed_into_the_training_pictures(photos: Callable[..., Path], generator_file: Make, tmp_path: Path) -> None:
    """A quarter of what is drawn comes from the generator, with its label; the rest from the files."""
    for name in ("normal", "pneumonia"):
        photos(tmp_path / "scans" / name, 6, (16, 16))
    for path in (tmp_path / "scans" / "pneumonia").iterdir():  # the others' negatives
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    config = CGANConfig(
        generator=DCGANConfig(width=4, widest=8), discriminator_network=DCGANDiscriminatorConfig(width=4),
        data=SampleDataConfig(crop=16, labels="folders"), augment_with=str(generator_file()), augment_fraction=0.25, device="cpu",
        loop=LoopConfig(steps=100, batch_size=4, validate_every=0),
    )  # fmt: skip
    prepared = generate_training.prepare(tmp_path / "scans", config)
    files = {read(path).frame(0).stored.tobytes(): path.parent.name for path in (tmp_path / "scans").rglob("*.png")}
    generator = restore.load(generator_file(), device="cpu", precision="fp32")
    count = int(str(prepared.stats["generated pictures"]))
    assert count == round(int(str(prepared.stats["training pictures"])) / 3) + 1
    made = {np.rint(generator([seed])[0] * 65535).astype(np.uint16).tobytes(): generator.labels[seed % 2] for seed in range(count)}
    found = 0
    for index in range(400):
        item = prepared.dataset[index]
        pixels = item["real"].numpy().transpose(1, 2, 0)
        label = ("normal", "pneumonia")[int(item["label"])]
        if (own := files.get(np.rint(pixels * 255).astype(np.uint8).tobytes())) is not None:
            assert own == label
        else:
            assert made[np.rint(pixels * 65535).astype(np.uint16).tobytes()] == label
            found += 1
    assert 70 < found < 130


def test_a_restoration_learns_from_generated_pictures_too(photos: Callable[..., Path], generator_file: Make, tmp_path: Path) -> None:
    small = {"network.widths": "8,8", "network.blocks": "1,1", "data.crop": "16", "device": "cpu", "precision": "fp32", "loop.steps": "1"}
    settings = {**small, "augment_with": str(generator_file(labels=())), "augment_fraction": "0.5"}
    run = restore.train("denoise", photos(tmp_path / "scans", 6), overrides=settings, dry_run=True)
    assert run.stats["generated pictures"] == 6
    with pytest.raises(ValueError, match="augment_with=nothing: no weights called"):
        restore.train("denoise", tmp_path / "scans", overrides={**small, "augment_with": "nothing"}, dry_run=True)
    for name in ("source", "target"):
        photos(tmp_path / "domains" / name)
    with pytest.raises(ValueError, match="not from two domains"):
        restore.train("cyclegan", tmp_path / "domains", overrides={"augment_with": "digits"}, dry_run=True)


def test_the_preview_ends_with_the_way_between_two_of_its_pictures() -> None:
    spec = GeneratorSpec(8, 1, 16, classes=3, pixel_noise=5)
    batch = generate_training.preview_batch(spec, seed=4)
    assert batch["latent"].shape == (32, 8) and batch["label"][:8].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    above, way = batch["latent"][16:24], batch["latent"][24:]
    torch.testing.assert_close(way[0], above[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(way[-1], above[-1], atol=1e-5, rtol=0)
    assert (way[1:] - way[:-1]).norm(dim=1).max() < (above[0] - above[-1]).norm() / 3
    assert batch["label"][24:].tolist() == [0] * 8 and len(batch["pixel_noise"][24:].unique(dim=0)) == 1
    assert torch.equal(batch["latent"], generate_training.preview_batch(spec, seed=4)["latent"])


def test_the_recipes_that_ship_are_sound() -> None:
    recipes = {"digits": "cgan", **dict.fromkeys(("xray-generator-start", "xray-generator", "xray-generator-longer"), "fastgan")}
    for name, method in recipes.items():
        config = resolve(METHODS[method].config, weights.shipped_folder() / "recipes" / f"{name}.toml")
        assert config.data.labels == "folders" and not config.data.flip


def test_a_run_is_scored_on_held_out_pictures_and_keeps_its_best(
    photos: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies are found, too: a trainer that shows training pictures is suspected."""
    monkeypatch.setattr(validating_samples, "_extractor", lambda: EXTRACTORS["pixels"])
    photos(tmp_path / "pictures", 40, (16, 16))
    config = CGANConfig(
        generator=DCGANConfig(width=4, widest=8), discriminator_network=DCGANDiscriminatorConfig(width=4),
        data=SampleDataConfig(crop=16, test_fraction=0.4), device="cpu", loop=LoopConfig(steps=2, batch_size=4, validate_every=1),
    )  # fmt: skip
    photos(tmp_path / "few", 2, (16, 16))
    assert generate_training.prepare(tmp_path / "few", config).validation is None  # one picture is no set
    prepared = generate_training.prepare(tmp_path / "pictures", config)
    assert prepared.validation is not None
    scores = prepared.validation.scores(prepared.trainer)
    assert set(scores) == {"kid", "precision", "recall", "diversity", "copies"} and all(np.isfinite(value) for value in scores.values())
    assert scores["diversity"] < 0.5 and scores["copies"] < 0.2
    training = [prepared.dataset[index]["real"].permute(1, 2, 0).numpy() for index in range(128)]
    copied = {name: metric.score(training, []) for name, metric in prepared.validation.metrics.items()}
    assert copied["copies"] > 0.9 and copied["diversity"] > 0.5
    settings = {
        "generator.width": "4", "generator.widest": "8", "discriminator_network.width": "4", "data.crop": "16", "data.labels": "none",
        "loop.batch_size": "4", "loop.steps": "2", "loop.validate_every": "1", "device": "cpu", "precision": "fp32",
    }  # fmt: skip
    restore.train("cgan", tmp_path / "pictures", overrides=settings, out=tmp_path / "run")
    assert weights.find(tmp_path / "run" / "run-best.safetensors").recipe["validation"].keys() == scores.keys()


def test_the_way_between_two_seeds_has_no_other_seed() -> None:
    with pytest.raises(ValueError, match="leave seed out"):
        GenerationOptions(interpolate=(1, 2), seed=3)
