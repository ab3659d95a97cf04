"""What a run starts from, goes on with and is called, and that a refused one changes nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from preloaded import PIPE, Process

import restore
from restore import networks, weights
from restore.datasets import folders
from restore.images import read
from restore.tasks import resuming
from restore.training import checkpoint

Photos = Callable[..., Path]
SMALL = {
    "network.widths": "8,8",
    "network.blocks": "1,1",
    "data.crop": "16",
    "loop.batch_size": "2",
    "precision": "fp32",
    "device": "cpu",
}
BASE = {key: value for key, value in SMALL.items() if not key.startswith("network.")}
PAIRED = {
    "generator.width": "4", "generator.levels": "4", "data.crop": "32", "data.sides": "32,40", "discriminator.width": "4",
    "loop.steps": "1",
    "loop.batch_size": "1", "precision": "fp32", "device": "cpu",
}  # fmt: skip
GENERATOR = {
    "generator.width": "4", "discriminator_network.width": "4", "data.crop": "16", "loop.batch_size": "2", "loop.validate_every": "0",
    "precision": "fp32", "device": "cpu",
}  # fmt: skip
CYCLE = {key: value for key, value in PAIRED.items() if key != "generator.levels"} | {"generator.blocks": "1"}


@pytest.fixture
def folder(photos: Photos, own_weights: Path) -> Path:
    """A few pictures to learn from, in a working directory of the test's own."""
    assert own_weights.is_dir()
    return photos(Path("photos"))


def _train(folder: Path, steps: int, out: str = "runs/a", method: str = "denoise", base: dict[str, str] = SMALL, **rest: Any) -> list[str]:
    events: list[str] = []
    overrides = {**base, "loop.steps": str(steps), **rest.pop("overrides", {})}
    restore.train(method, folder, overrides=overrides, out=out, on_event=lambda event: events.append(str(event)), **rest)
    return events


def _content(folder: str) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file() and "tensorboard" not in path.parts}


MISTAKES = [
    {"network.widths": "8,16"},
    {"network.blocks": "2,1"},
    {"optimizer.name": "adam"},
    {"losses.adversarial_weight": "1", "discriminator.width": "4"},
    {"data.crop": "15"},
    {"optimizer.learning_rate": "nan"},
    {"data.channels": "3"},
    {"seed": "5"},
    {"data.test_fraction": "0.4"},
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: next(iter(mistake)))
def test_a_refused_resume_changes_nothing(folder: Path, mistake: dict[str, str]) -> None:
    _train(folder, 2)
    before = _content("runs/a")
    events: list[str] = []
    with pytest.raises(ValueError) as caught:
        restore.train(
            "denoise", folder, out="runs/a", overrides={**SMALL, "loop.steps": "4", **mistake}, resume=True,
            on_event=lambda event: events.append(str(event)),
        )  # fmt: skip
    assert str(caught.value).isprintable()
    assert not [event for event in events if "goes on" in event]
    assert _content("runs/a") == before
    _train(folder, 4, resume=True)
    assert checkpoint.load(Path("runs/a"))["step"] == 4


def test_what_was_held_out_is_not_trained_on_later(photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few pictures the draw holds one out, and further pictures may take its place."""
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "data", 4)
    _train(tmp_path / "data", 1)
    (held,) = json.loads(Path("runs/a/held_out.json").read_text())
    monkeypatch.setattr(
        folders, "split", lambda files, root, **rest: ([f for f in files if f.name == held], [f for f in files if f.name != held])
    )
    with pytest.raises(ValueError, match=rf"held out {re.escape(held)}, which it would train on now"):
        _train(tmp_path / "data", 2, resume=True)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "test").mkdir()
    (tmp_path / "data" / held).rename(tmp_path / "data" / "test" / held)
    _train(tmp_path / "data", 2, resume=True)
    assert json.loads(Path("runs/a/held_out.json").read_text()) == [f"test/{held}"]


def test_held_out_pictures_may_have_any_name(photos: Photos, tmp_path: Path) -> None:
    """Also one that is no text in UTF-8."""
    root = photos(tmp_path / "data", 2)
    odd = root / "caf\udce9.png"
    sorted(root.iterdir())[0].rename(odd)
    resuming.write_held_out(tmp_path, root, [odd])
    resuming.check_still_held_out(tmp_path, root, [odd])
    with pytest.raises(ValueError, match="it would train on now"):
        resuming.check_still_held_out(tmp_path, root, [])


def test_another_methods_run_is_not_resumed(folder: Path) -> None:
    _train(folder, 2)
    before = _content("runs/a")
    for method in ("upscale", "inpaint", "scratches", "pix2pix", "cyclegan"):
        with pytest.raises(ValueError):
            restore.train(method, folder, out="runs/a", resume=True)
    assert _content("runs/a") == before


@pytest.mark.parametrize("method", ["gan", "r3gan"])
def test_a_method_with_the_same_settings_does_not_resume_another_ones_run(folder: Path, method: str) -> None:
    _train(folder, 1, method="dcgan", base=GENERATOR)
    before = _content("runs/a")
    with pytest.raises(ValueError, match=r"runs/a was begun with `restore train dcgan`"):
        restore.train(method, folder, out="runs/a", resume=True, overrides={"loop.steps": "2"})
    assert _content("runs/a") == before


@pytest.mark.parametrize("change", [{"network.widths": "8,16"}, {"network.blocks": "1,2"}, {"data.channels": "3"}])
def test_another_network_does_not_resume_a_run(folder: Path, change: dict[str, str]) -> None:
    _train(folder, 1)
    before = _content("runs/a")
    (key,) = change
    with pytest.raises(ValueError, match=rf"runs/a was begun with {key}=.* and cannot be resumed with .*: leave {key} out"):
        restore.train("denoise", folder, out="runs/a", resume=True, overrides={"loop.steps": "2", **change})
    assert _content("runs/a") == before


def test_another_dataset_is_reported(photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    restore.train("denoise", photos(tmp_path / "first"), out="runs/a", overrides={**SMALL, "loop.steps": "1"})
    for steps, name in ((2, "first"), (3, "second")):
        events: list[str] = []
        restore.train(
            "denoise", photos(tmp_path / name), out="runs/a", resume=True, overrides={"loop.steps": str(steps)},
            on_event=lambda event, events=events: events.append(str(event)),
        )  # fmt: skip
        assert any("was begun on the dataset first" in event for event in events) == (name == "second")


def test_other_classes_do_not_resume_a_run(photos: Photos, own_weights: Path) -> None:
    for name in ("a", "b", "c"):
        photos(Path("pets") / name, 2)
    _train(Path("pets"), 1, method="cgan", base=GENERATOR)
    before = _content("runs/a")
    Path("pets/a").rename("pets/z")
    with pytest.raises(ValueError, match=r"begun with the classes a, b, c; the dataset has b, c, z"):
        _train(Path("pets"), 2, method="cgan", base=GENERATOR, resume=True)
    assert _content("runs/a") == before


def test_a_run_below_its_dataset_is_no_part_of_it(folder: Path) -> None:
    """`restore train METHOD .` writes runs/ into the dataset."""
    count = len(list(folder.glob("*.png")))
    out = str(folder / "runs" / "x")
    for resume in (False, True):
        (text,) = [event for event in _train(folder, 2 + resume, out, resume=resume) if "training pictures" in event]
        trained, held = (int(part.split()[-1]) for part in text.split(", ")[:2])
        assert trained + held == count
    assert list(Path(out).rglob("*.png"))


@pytest.mark.parametrize(("trained", "asked"), [(6, 4), (3, 3), (5, 1)])
def test_fewer_steps_than_trained_is_said_so(folder: Path, trained: int, asked: int) -> None:
    _train(folder, trained)
    card = Path("runs/a/a.md")
    card.write_text(card.read_text() + "my own words\n")
    before = _content("runs/a")
    events = _train(folder, asked, resume=True)
    assert any("nothing to do" in text and f"trained {trained} steps already" in text for text in events)
    assert _content("runs/a") == before
    assert f"Trained {trained} steps with" in card.read_text()
    Path("runs/a/a.safetensors").unlink()  # as if it had been stopped just before
    _train(folder, asked, resume=True)
    assert f"Trained {trained} steps with" in card.read_text()
    assert weights.find("a").recipe["steps"] == trained


def test_weights_are_there_from_the_first_checkpoint_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, bool]] = []
    save = checkpoint.save

    def after(run: Path, state: dict[str, Any], **rest: bool) -> Path:
        seen.append((state["step"], Path("runs/a/a.safetensors").is_file()))
        if state["step"] == 4:
            raise OSError(28, "No space left on device")
        return save(run, state, **rest)

    monkeypatch.setattr(checkpoint, "save", after)
    with pytest.raises(OSError, match="No space"):
        _train(folder, 6, overrides={"loop.checkpoint_every": "2"})
    assert seen == [(2, False), (4, True)]
    assert "Trained 2 steps (of 6 planned)" in Path("runs/a/a.md").read_text()
    picture = np.random.default_rng(0).random((32, 32), dtype=np.float32)
    assert restore.load("a", device="cpu")(picture).shape == (32, 32)
    assert weights.find("runs/a").name == "a"


XRAY_NAMES = ("denoise-xray", "denoise-gray", "upscale-x4")


@pytest.mark.parametrize("name", XRAY_NAMES)
def test_a_run_called_like_weights_that_ship_replaces_none(folder: Path, name: str) -> None:
    events = _train(folder, 1, f"runs/{name}")
    assert any(f"by their path, runs/{name}" in text for text in events)
    shipped = weights.shipped_folder() / f"{name}.safetensors"
    assert weights.find(name).path == shipped
    assert weights.find(f"runs/{name}").path == Path("runs") / name / f"{name}.safetensors"
    shutil.copytree(f"runs/{name}", name)  # a folder or a file next to it does not, either
    assert weights.find(name).path == shipped
    assert weights.find(f"./{name}").path.resolve() == Path(name, f"{name}.safetensors").resolve()
    shutil.copy(f"runs/{name}/{name}.safetensors", weights.user_folder() or "")
    assert weights.find(name).path == shipped
    found = {one.path: one.hidden for one in weights.listing() if one.name == name}
    assert [hidden for path, hidden in found.items() if path == shipped] == [False]
    assert [hidden for path, hidden in found.items() if path != shipped] == [True, True]
    with pytest.raises(ValueError, match="taken by weights that ship"):
        weights.add(shipped, name)


def test_what_is_chosen_for_a_picture_stays_the_same(folder: Path) -> None:
    _train(folder, 1, "runs/denoise-gray")
    restore.run("denoise", folder / "0.png", "chosen", device="cpu")
    restore.run(
        "denoise",
        folder / "0.png",
        "shipped",
        device="cpu",
        weights=weights.shipped_folder() / "denoise-gray.safetensors",
    )
    chosen, shipped = (read(Path(out) / "0.png").frame(0).normalized() for out in ("chosen", "shipped"))
    assert np.array_equal(chosen, shipped)


@pytest.mark.parametrize("name", ["a\nb", "a\u202eb", "-a", ".a", "a\x1b[31m", "a:b", "a\udcffb", "a" * 150])
def test_a_run_that_could_not_be_used_by_its_name_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(ValueError, match="another --out") as caught:
        _train(folder, 1, f"runs/{name}")
    assert str(caught.value).isprintable()
    assert not Path("runs").exists()


@pytest.mark.parametrize("name", ["denoise-gray", "denoise-xray", "denoise-color"])
def test_the_architecture_comes_from_the_weights(folder: Path, name: str) -> None:
    base = BASE | {"data.crop": "32", "loop.batch_size": "1", "optimizer.learning_rate": "1e-9"}
    _train(folder, 1, base=base, overrides={"start_from": name})
    _train(folder, 1, "runs/b", base=base, overrides={"start_from": name}, config_file=name)
    (tensors, recipe), (theirs, first) = (
        weights.load(Path("runs/a/a.safetensors")),
        weights.load(weights.find(name).path),
    )
    # older files lack the settings that came later, which have their defaults there
    own, started = (networks.config_of(one["network"], one["settings"]) for one in (recipe, first))
    assert own == started
    assert recipe["settings"]["channels"] == first["settings"]["channels"]
    for key, value in theirs.items():
        torch.testing.assert_close(tensors[key].float(), value.float(), rtol=1e-2, atol=1e-3)
    _train(folder, 2, resume=True, base=base)  # config.toml holds what was taken over


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        ({"network.widths": "8,12"}, "network.widths=32,64,112,144"),
        ({"network.blocks": "1,1,1,1"}, "network.blocks=3,3,1,1"),
        ({"network.unshuffle": "2"}, "network.unshuffle=1"),
        ({"network.name": "resnet"}, "network.name=unet"),
    ],
)
def test_a_setting_that_the_weights_cannot_have_is_named(folder: Path, overrides: dict[str, str], word: str) -> None:
    with pytest.raises(ValueError, match=rf"start_from=denoise-gray: .*{word}"):
        _train(folder, 1, base=BASE, overrides={"start_from": "denoise-gray", **overrides})
    assert not Path("runs").exists()


def test_weights_of_another_task_or_program_start_nothing(folder: Path, weights_file: Callable[..., Path]) -> None:
    with pytest.raises(ValueError, match="upscale weights; the run needs denoise weights"):
        _train(folder, 1, base=BASE, overrides={"start_from": "upscale-x4"})
    weights_file(Path("odd.safetensors"), network="third_party")
    with pytest.raises(ValueError, match="cannot be trained"):
        _train(folder, 1, base=BASE, overrides={"start_from": "odd.safetensors"})
    weights_file(Path("huge.safetensors"), settings={"channels": 1, "widths": [10**18, 8], "blocks": [1, 1]})
    with pytest.raises(ValueError, match=r"start_from=huge\.safetensors: 'network\.widths' must be in"):
        _train(folder, 1, base=BASE, overrides={"start_from": "huge.safetensors"})
    weights_file(Path("list.safetensors"), settings={"channels": 1, "widths": 3, "blocks": {"a": 1}})
    with pytest.raises(ValueError, match=r"'network\.widths' must be a list"):
        _train(folder, 1, base=BASE, overrides={"start_from": "list.safetensors"})


def test_a_denoiser_starts_from_what_another_task_learned_of_luminance(folder: Path) -> None:
    base = BASE | {"data.crop": "32", "loop.batch_size": "1", "optimizer.learning_rate": "1e-9", "data.channels": "1"}
    network = {"network.name": "unet", "network.blocks": "4,3,2,2"}
    _train(folder, 1, base=base, overrides={"start_from": "artifacts", **network})
    tensors, recipe = weights.load(Path("runs/a/a.safetensors"))
    theirs = weights.load(weights.find("artifacts").path)[0]
    assert recipe["task"] == "denoise"
    assert recipe["settings"] == {"channels": 1, "widths": [32, 56, 80, 80], "blocks": [4, 3, 2, 2], "unshuffle": 1, "condition": "noise"}
    for key in ("head.weight", "encoders.0.3.second.weight", "tail.weight"):
        torch.testing.assert_close(tensors[key].float(), theirs[f"luminance.{key}"].float(), rtol=1e-2, atol=1e-3)
    assert not tensors["bottom.1.second.weight"].any()
    with pytest.raises(ValueError, match="sharpen weights; the run needs denoise weights"):  # another number of maps
        _train(folder, 1, "runs/b", base=base, overrides={"start_from": "sharpen"})


@pytest.mark.parametrize("name", ["upscale-x4", "upscale-x2"])
def test_an_upscaler_starts_from_what_ships(folder: Path, name: str) -> None:
    _train(
        folder,
        1,
        method="upscale",
        base=BASE | {"data.crop": "32", "loop.batch_size": "1"},
        overrides={"start_from": name},
    )
    assert weights.find("a").recipe["settings"] == weights.find(name).recipe["settings"]


def test_a_translator_and_a_finder_start_from_what_ships(tmp_path: Path, photos: Photos, folder: Path) -> None:
    for part in ("A", "B"):
        photos(tmp_path / "d" / part, channels=3)
    base = {
        "data.crop": "64",
        "data.sides": "64,64",
        "loop.batch_size": "1",
        "discriminator.width": "4",
        "precision": "fp32",
        "device": "cpu",
    }
    for method, name, out in (("pix2pix", "facades", "runs/p"), ("cyclegan", "photo2paint", "runs/c")):
        _train(tmp_path / "d", 1, out, method=method, base=base, overrides={"start_from": name, "data.crop": "64"})
        ours, theirs = weights.find(out).recipe["settings"], weights.find(name).recipe["settings"]
        assert ours == theirs
    _train(folder, 1, "runs/s", method="scratches", base=BASE | {"data.crop": "32"}, overrides={"start_from": "scratches"})
    assert weights.find("runs/s").recipe["settings"] == weights.find("scratches").recipe["settings"]


def test_what_a_run_started_from_may_be_gone_when_it_is_resumed(folder: Path, weights_file: Callable[..., Path]) -> None:
    weights_file(Path("first.safetensors"))
    _train(folder, 1, base=BASE, overrides={"start_from": "first.safetensors"})
    Path("first.safetensors").unlink()
    _train(folder, 3, base=BASE, resume=True)
    recipe = weights.find("a").recipe
    assert recipe["steps"] == 3 and recipe["training"]["start_from"] == "first.safetensors"


def test_a_recipes_own_patterns_are_not_asked_of_another_dataset(folder: Path) -> None:
    events = _train(
        folder,
        1,
        config_file="denoise-xray",
        overrides={"start_from": "none", "network.widths": "8,8", "network.blocks": "1,1"},
    )
    (line,) = (text for text in events if "data.include" in text)
    assert str(folder) in line and "left out" in line
    (folder / "xray" / "train").mkdir(parents=True)
    shutil.copy(folder / "0.png", folder / "xray" / "train" / "0.png")
    with pytest.raises(ValueError, match="xray/large/person"):  # theirs, and a part is missing
        _train(folder, 1, "runs/b", config_file="denoise-xray", overrides={"start_from": "none"})
    with pytest.raises(ValueError, match=r"mine/\*"):  # the user's own are never left out
        _train(folder, 1, "runs/b", config_file="denoise-xray", overrides={"start_from": "none", "data.include": "mine/*"})


def _held_out_damaged(folder: Path, photos: Photos) -> list[Path]:
    """Two domains, all of whose held-out pictures are cut off."""
    held = []
    for part in ("A", "B"):
        photos(folder / "train" / part, count=4, channels=3)
        held += list(photos(folder / "val" / part, count=2, channels=3).iterdir())
    for path in held:
        path.write_bytes(path.read_bytes()[:100])
    return held


BASES = {"pix2pix": PAIRED, "cyclegan": CYCLE, "denoise": SMALL}


@pytest.mark.usefixtures("own_weights")
@pytest.mark.parametrize("method", ["pix2pix", "cyclegan"])
def test_unreadable_held_out_pictures_stop_no_translator(
    tmp_path: Path, photos: Photos, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    held = _held_out_damaged(tmp_path / "d", photos)
    _train(tmp_path / "d", 1, method=method, base=BASES[method])
    assert not any("skipped for training" in text for text in caplog.messages)
    events = [text for text in caplog.messages if "skipped for validation" in text]
    assert len(events) == len(set(events)) >= 2  # one line each, of those that were looked at
    assert all(any(str(path) in text for path in held) for text in events)


@pytest.mark.usefixtures("own_weights")
@pytest.mark.parametrize("method", BASES)
def test_one_unreadable_training_picture_is_one_line_and_none_readable_an_error(
    tmp_path: Path, photos: Photos, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    base = BASES[method]
    for part in ("A", "B"):
        photos(tmp_path / "d" / part, count=4, channels=3)
    bad = tmp_path / "d" / "A" / "0.png"
    bad.write_bytes(bad.read_bytes()[:100])
    _train(tmp_path / "d", 6, method=method, base=base)
    events = [text for text in caplog.messages if "skipped for training" in text]
    assert len(events) <= 1 and all(str(bad) in text for text in events)
    for path in (tmp_path / "d").rglob("*.png"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"none of the .*(can be read|can be used)"):
        _train(tmp_path / "d", 1, "runs/b", method=method, base=base)


@pytest.mark.parametrize("held", ["val", "valid", "validation", "test", "Val"])
def test_held_out_folders_are_never_trained_on(
    tmp_path: Path, photos: Photos, own_weights: Path, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    assert own_weights.is_dir()
    photos(tmp_path / "flat" / "train", count=3)
    photos(tmp_path / "flat" / held, count=2)
    for part, count in (("train", 3), (held, 2)):
        photos(tmp_path / "joined" / part, count=count, size=(40, 80), channels=3)
    small = {**SMALL, "loop.steps": "1"}
    run = restore.train("denoise", tmp_path / "flat", overrides=small, out="runs/n")
    assert (run.stats["training pictures"], run.stats["held-out pictures"]) == (3, 2)
    run = restore.train("pix2pix", tmp_path / "joined", overrides=PAIRED, out="runs/p")
    assert run.stats["source pictures"] == 3


def test_two_trainings_into_one_folder_end_with_one_of_them_refused(folder: Path) -> None:
    settings = [f"--set={key}={value}" for key, value in {**SMALL, "loop.steps": "40"}.items()]
    command = ["-m", "restore_cli", "train", "denoise", str(folder), "--out", "r", "-q", *settings]
    both = [Process([*command, "--seed", seed], stderr=PIPE) for seed in (1, 2)]
    ends = [(process.communicate(timeout=240)[1], process.returncode) for process in both]
    assert sorted(code for _, code in ends) == [0, 2]
    (line,) = (text.strip() for text, code in ends if code == 2)
    assert "\n" not in line and ("another training writes r" in line or "holds a run already" in line)
    winner = 1 + [code for _, code in ends].index(0)
    assert f"seed = {winner}" in Path("r/config.toml").read_text()
    assert weights.find("r").recipe["training"]["seed"] == winner


def test_a_stack_of_one_picture_is_no_picture_to_be_skipped_twice(tmp_path: Path) -> None:
    """`_first_size` reads no file twice and reports nothing: the data set does."""
    from restore.datasets.domains import find

    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    Image.new("RGB", (16, 8)).save(tmp_path / "d" / "b.png")
    assert find(tmp_path / "d", paired=True).side_by_side


def test_only_the_chosen_tensors_are_trained(folder: Path) -> None:
    _train(folder, 2, "runs/a", overrides={"optimizer.learning_rate": "0.01"})
    patterns = {"trained": "decoders.*,*tail*", "start_from": "runs/a", "optimizer.learning_rate": "0.01"}
    _train(folder, 2, "runs/b", overrides=patterns)
    _train(folder, 4, "runs/b", overrides=patterns, resume=True)
    before, after = (weights.load(Path(f"runs/{name}/{name}.safetensors"))[0] for name in "ab")
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert changed == {key for key in after if "decoders." in key or "tail" in key}
    with pytest.raises(ValueError, match=r"trained='\*\.nothing' matches no tensor"):
        _train(folder, 2, "runs/c", overrides={"trained": "*.nothing"})
    with pytest.raises(ValueError, match="trained matches all tensors"):
        _train(folder, 2, "runs/c", overrides={"trained": "*"})
    assert not Path("runs/c").exists()
