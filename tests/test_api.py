"""`restore.train` and `restore.load`, end to end on tiny networks and pictures."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import restore
from restore import weights
from restore.training import checkpoint
from restore.training.journal import Progress
from restore.training.run_folder import LOCK

Photos = Callable[..., Path]
TINY = {
    "network.widths": "8,8", "network.blocks": "1,1", "data.crop": "16", "loop.batch_size": "2", "loop.log_every": "2",
    "loop.checkpoint_every": "2", "optimizer.warmup_steps": "1", "precision": "fp32", "device": "cpu",
    "noise.poisson_fraction": "0.5", "noise.jpeg_fraction": "0.3", "noise.map_error": "0.1", "data.scales": "0.6,1",
}  # fmt: skip


@pytest.fixture
def folder(photos: Photos, own_weights: Path) -> Path:
    """A few pictures to learn from, in a working directory of the test's own."""
    assert own_weights.is_dir()
    return photos(Path("photos").resolve())


def _train(folder: Path, steps: int = 4, out: str | None = "run", **rest: Any) -> Any:
    overrides = {**TINY, "loop.steps": str(steps), **rest.pop("overrides", {})}
    return restore.train("denoise", folder, overrides=overrides, out=out, **rest)


def _assert_same(first: Any, second: Any) -> None:
    assert type(first) is type(second)
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            _assert_same(first[key], second[key])
    elif isinstance(first, list | tuple):
        for one, other in zip(first, second, strict=True):
            _assert_same(one, other)
    else:
        assert first == second


def _assert_same_run(first: Path, second: Path) -> None:
    states = [torch.load(run / checkpoint.NAME, weights_only=True) for run in (first, second)]
    _assert_same(*states)
    tensors = [weights.load(run / f"{run.name}.safetensors")[0] for run in (first, second)]
    _assert_same(*tensors)


def test_a_run_leaves_what_was_promised(folder: Path) -> None:
    told: list[Any] = []
    run = _train(folder, on_event=told.append)
    assert (run.steps, run.weights) == (4, Path("run/run.safetensors"))
    names = {path.name for path in run.folder.iterdir()}
    assert names == {
        "config.toml", "held_out.json", "log.jsonl", "tensorboard", "previews", checkpoint.NAME, checkpoint.PREVIOUS, "run.safetensors",
        "run.md", "run-best.safetensors", "run-best.md", "run.html", "losses.png", "contact_sheet.png", LOCK,
    }  # fmt: skip
    assert [event.step for event in told if isinstance(event, Progress)] == [2, 4]
    assert "parameters" in told[0]
    recipe = weights.find("run").recipe
    assert (recipe["task"], recipe["network"], recipe["method"]) == ("denoise", "unet", "denoise")
    assert recipe["training"]["loop"]["steps"] == 4
    assert "photos" in run.weights.with_suffix(".md").read_text()


def test_the_published_weights_are_the_averaged_ones(folder: Path) -> None:
    run = _train(folder, 2)
    average = torch.load(run.folder / checkpoint.NAME, weights_only=True)["trainer"]["generator"]["average"]
    published, _ = weights.load(run.weights)
    _assert_same(published, {key: value.half() for key, value in average.items()})
    restored = restore.load(run.folder, device="cpu", precision="fp32")(np.full((20, 30), 128, np.uint8), 10.0)
    assert (restored.shape, restored.dtype) == ((20, 30), np.uint8)


GAME = {
    "losses.adversarial_weight": "0.01", "discriminator.width": "4", "discriminator.label_noise": "0.2", "discriminator.augment": "0.3",
    "monitor.every": "2",
}  # fmt: skip


@pytest.mark.parametrize("settings", [{"optimizer.name": "muon"}, {"optimizer.name": "adam"}, GAME], ids=["muon", "adam", "game"])
def test_resumed_equals_straight_bit_for_bit(folder: Path, settings: dict[str, str]) -> None:
    overrides = {"optimizer.learning_rate": "0.002", "data.crop": "32", **settings}
    _train(folder, 6, "straight/run", overrides=overrides)
    _train(folder, 3, "halves/run", overrides=overrides)
    torch.manual_seed(99)
    run = restore.train("denoise", folder, out="halves/run", overrides={"loop.steps": "6"}, resume=True)
    assert run.steps == 6
    _assert_same_run(Path("straight/run"), Path("halves/run"))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_workers_change_nothing(folder: Path) -> None:
    _train(folder, 4, "alone/run")
    _train(folder, 4, "helped/run", overrides={"loop.workers": "1"})
    _assert_same_run(Path("alone/run"), Path("helped/run"))


def test_interrupted_and_resumed_equals_straight(folder: Path) -> None:
    _train(folder, 6, "straight/run", overrides={"loop.log_every": "1"})

    def stop(event: Any) -> None:
        if isinstance(event, Progress) and event.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _train(folder, 6, "stopped/run", overrides={"loop.log_every": "1"}, on_event=stop)
    restore.train("denoise", folder, out="stopped/run", resume=True)
    _assert_same_run(Path("straight/run"), Path("stopped/run"))


def test_a_damaged_checkpoint_costs_only_its_steps(folder: Path) -> None:
    _train(folder, 6, "straight/run")
    _train(folder, 4, "harmed/run")
    newest = Path("harmed/run") / checkpoint.NAME
    newest.write_bytes(newest.read_bytes()[:-400])
    restore.train("denoise", folder, out="harmed/run", overrides={"loop.steps": "6"}, resume=True)
    _assert_same_run(Path("straight/run"), Path("harmed/run"))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_picture_is_named_skipped_and_counted(folder: Path, capfd: pytest.CaptureFixture[str], workers: int) -> None:
    (folder / "broken.png").write_bytes((folder / "0.png").read_bytes()[:200])
    handler = logging.StreamHandler()  # the worker processes have it too, which pytest's own log does not reach
    logging.getLogger("restore").addHandler(handler)
    try:
        run = _train(folder, 10, overrides={"data.test_fraction": "0", "loop.workers": str(workers)})
    finally:
        logging.getLogger("restore").removeHandler(handler)
    assert run.steps == 10
    printed = capfd.readouterr().err
    assert "broken.png" in printed and "--salvage" not in printed  # which training does not have
    assert run.stats["skipped pictures"] == 1


def test_bad_pictures_alone_held_out_stop_nothing(folder: Path) -> None:
    for name in ("train", "test"):
        (folder / name).mkdir()
    (folder / "0.png").rename(folder / "train" / "0.png")
    (folder / "test" / "broken.png").write_text("no picture")
    assert _train(folder, 1).steps == 1


def test_start_from_other_weights_gray_to_colour(folder: Path, weights_file: Callable[..., Path]) -> None:
    settings = {"start_from": str(weights_file(Path("a.safetensors"))), "network.widths": "8,12", "data.channels": "3"}
    run = _train(folder, 1, overrides={**settings, "optimizer.learning_rate": "1e-9", "optimizer.adam_rate": "1e-9"})
    tensors, recipe = weights.load(run.weights)
    original, _ = weights.load(Path("a.safetensors"))
    assert recipe["settings"]["channels"] == 3
    torch.testing.assert_close(tensors["bottom.0.first.weight"], original["bottom.0.first.weight"], rtol=1e-2, atol=1e-3)


def test_a_dry_run_writes_nothing(folder: Path) -> None:
    told: list[Any] = []
    before = sorted(Path().rglob("*"))
    run = _train(folder, dry_run=True, on_event=told.append)
    assert (run.steps, run.weights) == (0, None)
    assert run.stats["steps per second"] > 0
    assert any("learning_rate" in str(event) for event in told)
    assert sorted(Path().rglob("*")) == before


def test_a_run_that_never_saved_may_start_again(folder: Path) -> None:
    Path("run/previews").mkdir(parents=True)
    Path("run/config.toml").write_text("seed = 0")
    assert _train(folder).steps == 4


def test_a_run_is_not_overwritten(folder: Path) -> None:
    _train(folder, 1)
    with pytest.raises(ValueError, match="holds a run already"):
        _train(folder, 1)


def test_nothing_to_resume_is_said_so(folder: Path) -> None:
    with pytest.raises(ValueError, match="resume"):
        restore.train("denoise", folder, out="nowhere", resume=True)


def test_another_architecture_is_not_resumed(folder: Path) -> None:
    _train(folder, 1)
    with pytest.raises(ValueError, match="resume"):
        restore.train("denoise", folder, out="run", overrides={"network.widths": "8,16"}, resume=True)


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        ({"data.crop": "17"}, "multiple of 2"),
        ({"data.channels": "2"}, "1, 3"),
        ({"data.scales": "0,1"}, "data.scales"),
        ({"data.test_fraction": "1"}, "test_fraction"),
        ({"loop.stepz": "1"}, "loop.steps"),
        ({"network.name": "no-such"}, "unet"),
        ({"device": "abacus"}, "abacus"),
        ({"precision": "fp8"}, "bf16"),
        ({"seed": "-1"}, "seed"),
        ({"start_from": "no-such"}, "no-such"),
        ({"data.include": "*.tif"}, "tif"),
        ({"optimizer.learning_rate": "0"}, "learning_rate"),
        ({"losses.adversarial_weight": "1", "discriminator.mask_loss": "true"}, "holes to judge"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_work_is_said_before_anything_is_written(folder: Path, overrides: dict[str, str], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        _train(folder, overrides=overrides)
    assert not Path("run").exists()


def test_unknown_methods_datasets_recipes_and_weights_are_named(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"polish.*denoise"):
        restore.train("polish", folder)
    with pytest.raises(ValueError, match="no dataset"):
        restore.train("denoise", "no-such")
    with pytest.raises(ValueError, match=r"no-such.*denoise-gray"):
        restore.train("denoise", folder, config_file="no-such")
    with pytest.raises(ValueError, match="no-such"):
        restore.load("no-such")


RECIPES = sorted((Path(__file__).resolve().parents[1] / "weights" / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_that_ships_is_a_configuration(path: Path) -> None:
    from restore.tasks.training_methods import METHODS
    from restore.training import config

    # its first lines name its command
    method = re.findall(r"restore train (\w+) ", path.read_text())[0]
    made = config.resolve(METHODS[method].config, path)
    # the rate falls to nothing exactly at the end, or not at all
    assert made.optimizer.floor == 1 or made.loop.steps == made.optimizer.decay_start + made.optimizer.decay_steps


def test_evaluate_scores_folders(tmp_path: Path) -> None:
    for folder, level in (("results", 100), ("reference", 110)):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.full((16, 16), level, np.uint8)).save(tmp_path / folder / "a.png")
    comparison = restore.evaluate(tmp_path / "results", tmp_path / "reference", metrics=["psnr"])
    assert comparison.means() == {"psnr": pytest.approx(20 * np.log10(255 / 10))}
    assert restore.evaluate(tmp_path / "results", tmp_path / "reference", metrics="psnr").means() == comparison.means()
    for settings, word in (({"metrics": ["sim"]}, "did you mean ssim"), ({"metrics": []}, "no metric"), ({"border": 2.5}, "border")):
        with pytest.raises(ValueError, match=word):
            restore.evaluate(tmp_path / "results", tmp_path / "reference", **settings)  # type: ignore[arg-type]


def test_settings_that_no_run_knows_are_refused_at_once(tmp_path: Path) -> None:
    Image.fromarray(np.full((16, 16), 100, np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"unknown option 'ensembles'.*did you mean ensemble"):
        restore.load("denoise-gray", ensembles=8)  # type: ignore[call-overload]
    for settings, word in (({"tile": -1}, "tile"), ({"batch_size": 0}, "batch_size"), ({"batch_size": 1.5}, "batch_size")):
        with pytest.raises(ValueError, match=word):
            restore.run("denoise", tmp_path / "a.png", tmp_path / "out", **settings)  # type: ignore[arg-type]
    for place, out in ((tmp_path / "a.png", ""), ("", tmp_path / "out"), (b"a.png", tmp_path / "out")):
        with pytest.raises(ValueError, match=r"is empty|not bytes"):
            restore.run("denoise", place, out)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_urls_where_only_this_machine_is_written_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    Image.fromarray(np.full((16, 16), 100, np.uint8)).save(tmp_path / "in/a.png")
    url = "s3://bucket/x"
    calls: list[Callable[[], object]] = [
        lambda: restore.generate("digits", url, {"count": 1}),
        lambda: restore.export("digits", "torchscript", f"{url}.pt"),
        lambda: restore.train("denoise", tmp_path / "in", out=url),
        lambda: restore.train("denoise", url),
        lambda: restore.run("inpaint", tmp_path / "in", tmp_path / "o", options={"scratches": True, "save_masks": url}),
        lambda: restore.run("inpaint", tmp_path / "in", tmp_path / "o", options={"masks": Path(url)}),
        lambda: restore.run("enhance", tmp_path / "in", tmp_path / "o", options={"save_lut": url}),
        lambda: restore.run("simulate", tmp_path / "in", tmp_path / "o", options={"recipe": "jpeg", "clean": url}),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"is a URL: name a file or folder of this machine"):
            call()
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_file_in_the_place_of_a_run_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(ValueError, match="is a file: give another --out"):
        restore.train("denoise", folder, out=tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"
