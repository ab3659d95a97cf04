"""Training cyclegan and pix2pix, and translating with their weights."""

from __future__ import annotations

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

Photos = Callable[..., Path]
SMALL = {
    "generator.width": "4", "data.crop": "32", "data.sides": "32,40", "discriminator.width": "4", "loop.log_every": "2",
    "loop.checkpoint_every": "2", "precision": "fp32", "device": "cpu", "discriminator.label_noise": "0.2",
    "discriminator.label_smoothing": "0.1", "discriminator.r1": "0.01", "monitor.every": "2",
}  # fmt: skip
METHODS: dict[str, dict[str, str]] = {
    "cyclegan": {"generator.blocks": "1", "losses.image_buffer": "2"},
    "pix2pix": {"generator.levels": "3", "generator.norm": "batch", "loop.batch_size": "2"},
}
every_method = pytest.mark.parametrize("method", sorted(METHODS))


@pytest.fixture
def pairs(photos: Photos, own_weights: Path) -> Path:
    """Two domains of a few pictures, in a working directory of the test's own."""
    assert own_weights.is_dir()
    for name in ("source", "target"):
        photos(Path("pairs") / name, 4, size=(48, 60), channels=3)
    return Path("pairs")


def _train(method: str, folder: Path, steps: int, out: str, **rest: Any) -> Any:
    overrides = {**SMALL, **METHODS[method], "loop.steps": str(steps), **rest.pop("overrides", {})}
    return restore.train(method, folder, overrides=overrides, out=out, **rest)


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(_same, first, second))
    return bool(first == second)


@every_method
def test_a_resumed_run_equals_an_uninterrupted_one(pairs: Path, method: str) -> None:
    _train(method, pairs, 4, "straight")
    _train(method, pairs, 2, "halves")
    restore.train(method, pairs, out="halves", resume=True, overrides={"loop.steps": "4"})
    states = [torch.load(Path(run) / checkpoint.NAME, weights_only=True) for run in ("straight", "halves")]
    assert _same(*states)
    first, second = (weights.load(Path(run) / f"{run}.safetensors")[0] for run in ("straight", "halves"))
    assert _same(first, second)


@every_method
def test_a_run_folder_is_complete_and_its_weights_translate(pairs: Path, method: str) -> None:
    events: list[Any] = []
    run = _train(method, pairs, 2, "run", on_event=events.append)
    assert {path.name for path in run.folder.iterdir()} >= {
        "config.toml", "log.jsonl", "checkpoint.pt", "previews", "losses.png", "contact_sheet.png", "run.safetensors", "run.md"
    }  # fmt: skip
    assert events
    report = restore.run("translate", pairs / "source", "out", weights="run", precision="fp32")
    assert {record.status for record in report.records} == {"done"}
    for path in sorted((pairs / "source").iterdir()):
        before, after = Image.open(path), Image.open(Path("out") / path.name)
        assert before.size == after.size
        assert not np.array_equal(np.asarray(before), np.asarray(after))


def test_the_reverse_direction_is_another_network(pairs: Path) -> None:
    _train("cyclegan", pairs, 2, "run")
    for name, reverse in (("there", False), ("back", True)):
        restore.run("translate", pairs / "source", name, weights="run", precision="fp32", options={"reverse": reverse})
    first, second = (np.asarray(Image.open(next(Path(name).glob("*.png")))) for name in ("there", "back"))
    assert not np.array_equal(first, second)


def test_weights_of_one_direction_cannot_be_reversed(pairs: Path) -> None:
    _train("pix2pix", pairs, 2, "run")
    with pytest.raises(ValueError, match="one direction only"):
        restore.run("translate", pairs, "out", weights="run", options={"reverse": True})


@every_method
def test_a_run_can_start_from_weights(pairs: Path, method: str) -> None:
    _train(method, pairs, 2, "first")
    still = {"optimizer.learning_rate": "1e-9", "start_from": "first"}
    _train(method, pairs, 1, "second", overrides=still)
    first, second = (weights.load(Path(run) / f"{run}.safetensors")[0] for run in ("first", "second"))
    assert first.keys() == second.keys()
    for key, value in first.items():  # both ways of a CycleGAN, each from its own
        if value.dim() > 1:  # batches count and move their statistics all the same
            torch.testing.assert_close(second[key], value, rtol=1e-2, atol=2e-3)
    with pytest.raises(ValueError, match=r"start_from=first: .*generator.width=4"):
        _train(method, pairs, 1, "third", overrides={"start_from": "first", "generator.width": "8"})
    with pytest.raises(ValueError, match="generator.norm=batch" if method == "pix2pix" else "generator.norm=instance"):
        _train(method, pairs, 1, "third", overrides={"start_from": "first", "generator.norm": "pixel"})
    if method == "pix2pix":
        with pytest.raises(ValueError, match="no direction 'forward'"):
            restore.train("cyclegan", pairs, overrides={**SMALL, "start_from": "first"}, out="third")
        with pytest.raises(ValueError, match=r"generator\.name=pix2pix_unet, which has no blocks"):
            _train("cyclegan", pairs, 1, "third", overrides={"start_from": "first"})


@pytest.mark.usefixtures("pairs")
def test_weights_of_another_task_are_refused(weights_file: Callable[..., Path]) -> None:
    weights_file(Path("denoiser.safetensors"))
    with pytest.raises(ValueError, match="a denoise model; translate needs a translate model"):
        restore.run("translate", "pairs", "out", weights="denoiser.safetensors")


@every_method
@pytest.mark.parametrize(
    ("overrides", "word"),
    [({"data.crop": "30"}, "multiple"), ({"data.sides": "16,20"}, "data.sides"), ({"discriminator.objective": "gan"}, "wasserstein"),
     ({"generator.norm": "layer"}, "instance"), ({"discriminator.wdith": "3"}, "discriminator.width"),
     ({"discriminator.mask_loss": "true", "discriminator.augment": "0"}, "holes to judge"),
     ({"discriminator.network": "multiscale"}, "make data.crop larger"), ({"start_from": "no-such"}, "no-such")],
)  # fmt: skip
def test_invalid_settings_are_refused_at_once(pairs: Path, method: str, overrides: dict[str, str], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        _train(method, pairs, 2, "run", overrides=overrides)
    assert not Path("run").exists()


def test_a_collapse_is_reported_and_may_stop_the_run(pairs: Path) -> None:
    failing = {"monitor.collapse": "1e9", "monitor.patience": "1"}
    events: list[Any] = []
    _train("cyclegan", pairs, 4, "warned", overrides=failing, on_event=events.append)
    assert [line for line in events if "mode collapse" in str(line)]
    assert '"diagnosis": "collapse"' in (Path("warned") / "log.jsonl").read_text()
    with pytest.raises(ValueError, match="mode collapse"):
        _train("cyclegan", pairs, 4, "stopped", overrides=failing | {"monitor.on_collapse": "stop"})
    assert checkpoint.exists(Path("stopped"))


def test_a_collapse_is_rolled_back_with_half_the_rates_but_not_for_ever(pairs: Path) -> None:
    failing = {"monitor.collapse": "1e9", "monitor.patience": "2", "monitor.on_collapse": "rollback", "loop.checkpoint_every": "3"}
    with pytest.raises(ValueError, match=r"halved to 0\.0625 .*mode collapse"):
        _train("cyclegan", pairs, 8, "run", overrides=failing)
    state = torch.load(Path("run") / checkpoint.NAME, weights_only=True)
    assert state["step"] == 3
    assert {state["trainer"][way]["generator"]["lr_scale"] for way in ("forward", "backward")} == {0.0625}
