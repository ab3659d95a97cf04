"""Hostile files among the weights: each costs its own line, no time, no memory, and runs no code."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import save_file

import restore
from restore import weights
from restore.api import add_weights, verify_weights
from restore.inference.denoiser import Denoiser
from restore.weights_blend import blend

File = Callable[..., Path]
UNET = {"channels": 1, "widths": [8, 12], "blocks": [1, 1]}


def _with(recipe: Any, tensors: dict[str, torch.Tensor] | None = None) -> Callable[[Path], None]:
    """Writes a file with that recipe (a text, or what becomes JSON)."""

    def write(path: Path) -> None:
        text = recipe if isinstance(recipe, str) else json.dumps(recipe)
        save_file(tensors if tensors is not None else {"a": torch.zeros(1)}, path, {"recipe": text})

    return write


def _made(network: Any = "unet", settings: Any = UNET, **rest: Any) -> Callable[[Path], None]:
    return _with({"task": "denoise", "network": network, "settings": settings, **rest})


def _header(text: bytes, length: int | None = None) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text) and None


UNREADABLE: dict[str, Callable[[Path], None]] = {
    "deep": _with('{"task": "denoise", "network": "unet", "settings": ' + '{"a":' * 50_000 + "1" + "}" * 50_000 + "}"),
    "deep-list": _with("[" * 100_000 + "]" * 100_000),
    "long": _with({"task": "denoise", "network": "unet", "settings": {}, "more": "x" * 2_000_000}),
    "list": _with([1, 2]),
    "number": _with("1e999"),
    "no-settings": _with({"task": "denoise", "network": "unet"}),
    "settings-list": _made(settings=[1]),
    "task-number": _with({"task": 1, "network": "unet", "settings": {}}),
    "network-list": _made(network=["unet"]),
    "scale-list": _made(settings={**UNET, "scale": [4]}),
    "channels-text": _made(settings={**UNET, "channels": "one"}),
    "directions-text": _made(directions="forward"),
    "directions-numbers": _made(directions=[1]),
    "training-list": _made(training=[1]),
    "noise-text": _made(training={"noise": {"poisson_fraction": "much"}}),
    "camera-noise-text": _made(training={"noise": {"camera_fraction": "much"}}),
    "empty": lambda path: path.write_bytes(b"") and None,
    "cut": _header(b'{"a":', 5_000),
    "header-of-ages": _header(b"{}", 2**62),
    "header-no-utf8": _header(b'{"\xff\xfe": 1}'),
    "header-deep": _header(b'{"a":' * 20_000 + b"1" + b"}" * 20_000),
    "header-lies": _header(b'{"a":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,4000000000000]}}'),
    "header-empty-shape": _header(b'{"__metadata__":{"recipe":3}}'),
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "loop": lambda path: path.symlink_to(path.name),
    "dangling": lambda path: path.symlink_to("nowhere"),
}
"""Files of which not even the header is one of ours."""
UNUSABLE: dict[str, Callable[[Path], None]] = {
    "missing-network": _made(network="nosuch"),
    "word-network": _made(network="\x1b[31mred\u202e"),
    "other-tensors": _made(),
    "giant-widths": _made(settings={**UNET, "widths": [10**18, 10**18]}),
    "wide": _made(settings={**UNET, "widths": [60_000, 60_000]}),
    "blocks": _made(settings={**UNET, "blocks": [10**9, 10**9]}),
    "many-blocks": _made(settings={**UNET, "blocks": [50_000, 50_000]}),
    "negative": _made(settings={**UNET, "widths": [-1, -1]}),
    "zero": _made(settings={**UNET, "widths": [0, 0]}),
    "floats": _made(settings={**UNET, "widths": [1.5, 2.5]}),
    "texts": _made(settings={**UNET, "widths": "many"}),
    "nested": _made(settings={**UNET, "widths": [[8], [12]]}),
    "long-list": _made(settings={**UNET, "widths": [8] * 100_000}),
    "no-list": _made(settings={**UNET, "widths": 8}),
    "none": _made(settings={**UNET, "widths": None}),
    "unknown": _made(settings={**UNET, "evil": 1}),
    "giant-unshuffle": _made(settings={**UNET, "unshuffle": 10**9}),
    "levels": _made(network="pix2pix_unet", settings={"channels": 1, "width": 64, "levels": 10**6}),
    "resnet": _made(network="resnet", settings={"channels": 3, "width": 64, "blocks": 10**9}),
    "directions": _made(directions=["forward", "backward"]),
    "checksum": lambda path: save_file({"a": torch.zeros(1)}, path, {"recipe": json.dumps(
        {"task": "denoise", "network": "unet", "settings": UNET}), "sha256": "0" * 64}),
}  # fmt: skip
"""Files whose header is one of ours, and whose network is none."""
HOSTILE = UNREADABLE | UNUSABLE


@pytest.fixture
def hostile(own_weights: Path, weights_file: File) -> Path:
    """All of them in the user's folder, and two good ones among them."""
    for name, write in HOSTILE.items():
        write(own_weights / f"{name}.safetensors")
    weights_file(own_weights / "aaa.safetensors")
    weights_file(own_weights / "zzz.safetensors", seed=1)
    return own_weights


def test_each_is_one_line_of_the_listing(hostile: Path) -> None:
    found = {one.name: one for one in weights.listing() if one.path.parent == hostile}
    assert found.keys() == {*HOSTILE, "aaa", "zzz"}
    for name in UNREADABLE:
        assert found[name].entry is None and found[name].problem, name
    for name in (*UNUSABLE, "aaa", "zzz"):
        assert found[name].entry is not None and not found[name].problem, name
    assert {"aaa", "zzz"} <= {entry.name for entry in weights.catalogue()}


def test_each_is_one_line_of_the_check(hostile: Path) -> None:
    before = psutil.Process().memory_info().rss
    found = {one.name: problem for one, problem in verify_weights() if one.path.parent == hostile}
    assert psutil.Process().memory_info().rss - before < 500e6
    assert found["aaa"] == found["zzz"] == ""
    for name in HOSTILE:
        assert found[name] and len(found[name]) < 2000, name


@pytest.mark.parametrize("name", HOSTILE)
def test_each_is_a_value_error_to_whoever_uses_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.safetensors"
    HOSTILE[name](path)
    before = psutil.Process().memory_info().rss
    for use in (Denoiser.load, restore.load, lambda given: add_weights(given, "mine") and restore.load("mine")):
        with pytest.raises(ValueError):
            use(path)
    for task in ("denoise", "upscale", "translate", "inpaint"):
        if name in UNREADABLE:
            with pytest.raises(ValueError):
                restore.run(task, tmp_path, tmp_path.parent / "out", weights=path, device="cpu")
    assert psutil.Process().memory_info().rss - before < 500e6


@pytest.fixture(autouse=True)
def _no_weights_of_the_users(own_weights: Path) -> None:
    """What is added in a test stays in it."""


NAMES = ["a\nb", "a\tb", "a\x1b[31mb", "a\u202eb", "a\u200fb", "a\x00b", "-a", "--out", ".a", "..", "a/b", "a\udc80b", "x" * 101, " \u2028"]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_would_do_harm_are_refused(own_weights: Path, weights_file: File, tmp_path: Path, name: str) -> None:
    path = weights_file(tmp_path / "a.safetensors")
    for keep in (weights.add, add_weights):
        with pytest.raises(ValueError, match="cannot be a weights name") as caught:
            keep(path, name)
        assert str(caught.value).isprintable()
    with pytest.raises(ValueError, match="cannot be a weights name"):
        blend(weights.entry(path), weights.entry(path), 0.5, name)
    assert not list(own_weights.iterdir())


@pytest.mark.parametrize("name", ["mine", "Ünïcode", "a b", "a.b", "a-", "1", "x" * 100])
def test_other_names_are_fine(own_weights: Path, weights_file: File, tmp_path: Path, name: str) -> None:
    assert add_weights(weights_file(tmp_path / "a.safetensors"), name) == own_weights / f"{name}.safetensors"


def test_weights_without_a_checksum_are_told_apart_by_their_tensors(tmp_path: Path, weights_file: File) -> None:
    prints = []
    for seed in (0, 1, 0):
        tensors, recipe = weights.load(weights_file(tmp_path / "whole.safetensors", seed=seed))
        save_file(tensors, tmp_path / "bare.safetensors", {"recipe": json.dumps(recipe)})
        prints.append(weights.fingerprint(weights.entry(tmp_path / "bare.safetensors")))
    assert prints[0] == prints[2] != prints[1]
    assert all(len(text) == 64 for text in prints)


def test_a_rerun_with_other_weights_of_the_same_name_is_redone(tmp_path: Path, weights_file: File, photos: Callable[..., Path]) -> None:
    folder, rows = photos(tmp_path / "d", count=1), []
    for seed in (0, 0, 1):
        tensors, recipe = weights.load(weights_file(tmp_path / "whole.safetensors", seed=seed))
        save_file(tensors, tmp_path / "bare.safetensors", {"recipe": json.dumps(recipe)})
        rows += restore.run("denoise", folder, tmp_path / "out", weights=tmp_path / "bare.safetensors", device="cpu").records
    assert [row.status for row in rows] == ["done", "skipped", "done"]


def test_no_home_is_no_end(monkeypatch: pytest.MonkeyPatch, weights_file: File, tmp_path: Path) -> None:
    for name in ("RESTORE_WEIGHTS", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    assert weights.find("denoise-gray").name == "denoise-gray"
    assert "denoise-gray" in {entry.name for entry in weights.catalogue()}
    with pytest.raises(ValueError, match="RESTORE_WEIGHTS"):
        weights.add(weights_file(tmp_path / "a.safetensors"), "a")


def test_a_card_that_is_none_costs_nothing(tmp_path: Path, weights_file: File) -> None:
    path = weights_file(tmp_path / "a.safetensors")
    os.mkfifo(tmp_path / "a.md")
    assert weights.entry(path).card is None
    (tmp_path / "a.md").unlink()
    (tmp_path / "a.md").write_bytes(b"- licence: \xff\xfe\x1b[2J\n" + b"x" * 5_000_000)
    assert "\x1b" in weights.entry(path).licence and len(weights.card_text(tmp_path / "a.md")) < 2_000_000


PICKLES: dict[str, Any] = {
    "integer-keys": {0: torch.zeros(3, 1, 3, 3), 1: torch.zeros(3)},
    "mixed-keys": {"a": torch.zeros(1), 2: torch.zeros(1)},
    "tuple-keys": {("a",): torch.zeros(1)},
    "lists": {"a": [1, 2, 3]},
    "nothing": {},
    "number": 3,
    "scalar": {"model.1.weight": torch.zeros(())},
    "odd-convolution": {"model.0.weight": torch.zeros(0, 0, 0, 0), "model.1.sub.0.RDB1.conv1.0.weight": torch.zeros(1)},
    "esrgan-in-part": {"conv_first.weight": torch.zeros(1), "body.0.rdb1.conv1.weight": torch.zeros(1), "conv_last.weight": torch.zeros(1)},
    "body-word": {"conv_first.weight": torch.zeros(4, 3, 3, 3), "body.0.rdb1.conv1.weight": torch.zeros(4, 4, 3, 3),
                  "body.word.rdb1": torch.zeros(1), "conv_last.weight": torch.zeros(3, 4, 3, 3)},
    "body-of-ages": {"conv_first.weight": torch.zeros(4, 3, 3, 3), "body.0.rdb1.conv1.weight": torch.zeros(4, 4, 3, 3),
                     "body.999999999.rdb1": torch.zeros(1), "conv_last.weight": torch.zeros(3, 4, 3, 3)},
    "expanded": {"model.1.weight": torch.zeros(1).expand(1000, 1000, 1000, 1000)},
    "sparse": {"a": torch.zeros(4, 4).to_sparse()},
    "wrapped-deep": {"params_ema": {"state_dict": {1: 2}}},
    "surrogate": {"\udc80": torch.zeros(1, 1, 3, 3)},
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
@pytest.mark.parametrize("name", PICKLES)
def test_odd_state_dicts_of_other_programs_are_value_errors(tmp_path: Path, own_weights: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    torch.save(PICKLES[name], path)
    before = psutil.Process().memory_info().rss
    with pytest.raises(ValueError) as caught:
        add_weights(path)
    assert len(str(caught.value)) < 2000
    assert psutil.Process().memory_info().rss - before < 500e6
    assert not list(own_weights.iterdir())


def _bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(50_000_000))


@pytest.mark.parametrize("write", [os.mkfifo, Path.mkdir, _bomb, Path.touch, lambda path: path.symlink_to(path.name)], ids=str)
def test_what_is_no_file_of_torchs_is_a_value_error(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "a.pth")
    with pytest.raises(ValueError):
        add_weights(tmp_path / "a.pth")
