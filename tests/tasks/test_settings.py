"""Every setting of every method, with what nobody means: one line each, at once, and nothing taken or written."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

import restore
from restore import limits
from restore.tasks.restoration_setup import RestorationConfig
from restore.tasks.training_methods import METHODS
from restore.training import config

HOSTILE = (
    "nan", "inf", "-inf", "-1", "0", "1e9", "1e308", "1000000000", str(10**18), str(10**30), "9" * 5000, "x" * 100_000, "", "-0.0",
    "1e-320", "1,2", "nan,nan", "5,1", "[]", ",".join(["64"] * 5000), "../../*", "/etc/*", "a/../../b", "\0", "\ud800", "\x1b[2J\n",
)  # fmt: skip


def _fields(kind: type, prefix: str = "") -> Iterator[tuple[str, Any, Any, Mapping[str, Any]]]:
    """Dotted key, type, default and metadata of every field of a configuration."""
    yield from _of(kind(), prefix)


def _of(made: Any, prefix: str) -> Iterator[tuple[str, Any, Any, Mapping[str, Any]]]:
    hints = typing.get_type_hints(type(made))
    for entry in dataclasses.fields(made):
        value = vars(made)[entry.name]
        if dataclasses.is_dataclass(value):
            yield from _of(value, f"{prefix}{entry.name}.")
        else:
            yield prefix + entry.name, hints[entry.name], value, entry.metadata


def _numeric(hint: Any) -> bool:
    kinds = typing.get_args(hint) if typing.get_origin(hint) is tuple else (hint,)
    return any(kind in (int, float) for kind in kinds)


EVERY = [(method, *entry) for method in METHODS for entry in _fields(METHODS[method].config)]


def test_every_number_has_its_range_and_every_default_lies_in_it() -> None:
    bare = {f"{method}: {key}" for method, key, hint, _, metadata in EVERY if _numeric(hint) and "range" not in metadata}
    assert not bare
    for _, key, hint, default, metadata in EVERY:
        assert config.checked(key, hint, default, metadata) == default


def test_every_field_says_what_it_is() -> None:
    assert not [key for _, key, _, _, metadata in EVERY if not metadata.get("help")]


def _sound(value: Any, metadata: Mapping[str, Any]) -> bool:
    """Whether a value that was taken is one that its field can have."""
    if isinstance(value, tuple):
        return len(value) <= 256 and all(_sound(entry, metadata) for entry in value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = metadata["range"]
        return bool(low <= value <= high)
    return value is None or len(str(value)) <= limits.LONGEST


@pytest.mark.parametrize("method", METHODS)
def test_hostile_values_are_refused_in_one_line_or_within_their_range(method: str) -> None:
    refused = 0
    for _, key, _, _, metadata in (entry for entry in EVERY if entry[0] == method):
        for text in HOSTILE:
            try:
                made: Any = config.resolve(METHODS[method].config, None, {key: text})
            except ValueError as error:
                refused += 1
                assert len(str(error)) < 1500 and str(error).isprintable(), (key, text[:30], str(error)[:200])
                assert any(part in str(error) for part in key.split("."))
                continue
            for part in key.split("."):
                made = vars(made)[part]
            assert _sound(made, metadata), (key, text[:30], made)
    assert refused > 500


@pytest.mark.parametrize("method", METHODS)
def test_hostile_values_of_a_file_are_refused_alike(method: str, tmp_path: Path) -> None:
    for key in ("loop.steps", "loop.batch_size", "data.crop", "optimizer.learning_rate", "data.test_fraction", "seed"):
        group, _, name = key.rpartition(".")
        for text in ("nan", "inf", "-1", str(10**18) + "000", "[1, 2]", "{}", '"many"', "true", "[[1]]"):
            file = tmp_path / "a.toml"
            file.write_text(f"[{group}]\n{name} = {text}\n" if group else f"{name} = {text}\n")
            with pytest.raises(ValueError, match=name):
                config.resolve(METHODS[method].config, file)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"a = " + b"[" * 5000 + b"]" * 5000, "cannot read the configuration"),
        (b"x = 1\n" * 400_000, "larger than"),
        (b"\xff\xfe", "cannot read the configuration"),
        (b"[loop]\nsteps = 1\n[loop]\n", "cannot read the configuration"),
        (b"loop = 3\n", "group of settings"),
        (b'"a\\nb" = 1\n', "unknown setting"),
    ],
)
def test_a_hostile_file_is_one_line(tmp_path: Path, content: bytes, word: str) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(ValueError, match=word) as caught:
        config.resolve(RestorationConfig, tmp_path / "a.toml")
    assert str(caught.value).isprintable()


SMALL = {
    "denoise": {"network.widths": "8,8", "network.blocks": "1,1", "data.crop": "16"},
    "cyclegan": {"generator.width": "4", "generator.blocks": "1", "data.crop": "32", "data.sides": "0,0", "discriminator.width": "4"},
    "pix2pix": {"generator.width": "4", "generator.levels": "4", "data.crop": "32", "data.sides": "0,0", "discriminator.width": "4"},
    "upscale": {"network.width": "8", "network.blocks": "1", "data.crop": "16"},
    "inpaint": {
        "network.widths": "8,8", "network.dilations": "1", "data.crop": "16", "losses.adversarial_weight": "0",
        "losses.perceptual_weight": "0",
    },
    "scratches": {"network.width": "4", "network.levels": "3", "data.crop": "16"},
    "artifacts": {"network.widths": "8,8", "network.blocks": "1,1", "network.chroma_widths": "8,8", "data.crop": "16"},
    "sharpen": {"network.widths": "8,8", "network.blocks": "1,1", "data.crop": "16"},
    "colorize": {
        "network.widths": "8,8", "network.dilations": "1", "data.crop": "32", "losses.adversarial_weight": "0",
        "losses.lpips_weight": "0",
    },
    "gan": {"generator.widths": "8", "discriminator_network.widths": "8", "data.crop": "16"},
    **{
        method: {"generator.width": "4", "generator.widest": "8", "discriminator_network.width": "4", "data.crop": "32"}
        for method in ("dcgan", "wgan", "cgan", "stylegan", "r3gan", "fastgan")
    },
    "enhance": {"network.widths": "4,8", "network.side": "3", "network.tables": "2", "data.crop": "32"},
}  # fmt: skip
HUGE = [
    ("denoise", {"network.widths": "4096,4096,4096,4096", "network.blocks": "64,64,64,64"}, "make it smaller"),
    ("denoise", {"network.name": "luma_chroma_unet", "data.channels": "3", "network.chroma_widths": "4096,4096,4096"}, "make it smaller"),
    ("denoise", {"data.crop": "8192", "loop.batch_size": "65536"}, "loop.batch_size"),
    ("denoise", {"data.crop": "8192", "data.scales": "0.01,1"}, "data.scales"),
    ("upscale", {"network.width": "4096", "network.blocks": "256"}, "make it smaller"),
    ("inpaint", {"network.widths": "4096,4096,4096,4096", "network.dilations": ",".join(["1"] * 64)}, "make it smaller"),
    ("scratches", {"network.width": "4096", "network.refine": "64"}, "make it smaller"),
    ("cyclegan", {"generator.width": "4096", "generator.blocks": "256"}, "make it smaller"),
    ("cyclegan", {"data.sides": "65536,65536"}, "data.sides"),
    ("pix2pix", {"generator.width": "4096", "generator.levels": "5"}, "make it smaller"),
    ("pix2pix", {"discriminator.width": "4096"}, "discriminator.width"),
    ("dcgan", {"generator.widest": "8192", "generator.width": "4096"}, "make it smaller"),
    ("r3gan", {"discriminator_network.widest": "8192", "discriminator_network.width": "4096"}, "discriminator_network"),
    ("stylegan", {"data.crop": "1024", "loop.batch_size": "65536"}, "loop.batch_size"),
    ("denoise", {"losses.adversarial_weight": "1", "discriminator.width": "4096"}, "discriminator.width"),
]  # fmt: skip


@pytest.mark.parametrize("case", HUGE, ids=lambda case: f"{case[0]}-{next(iter(case[1]))}")
def test_what_does_not_fit_into_memory_is_refused_before_it_is_made(
    tmp_path: Path, photos: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, case: tuple[str, dict[str, str], str]
) -> None:
    method, overrides, word = case
    free = psutil.virtual_memory()._replace(available=2 * 2**30)  # as on a small machine
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    for part in ("A", "B"):
        photos(tmp_path / "d" / part, channels=3)
    before = psutil.Process().memory_info().rss
    settings = {"device": "cpu", "precision": "fp32", "loop.steps": "1", "loop.batch_size": "1", **SMALL[method], **overrides}
    with pytest.raises(ValueError, match=word):
        restore.train(method, tmp_path / "d", overrides=settings, out=tmp_path / "run")
    assert psutil.Process().memory_info().rss - before < 500e6
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("method", [name for name in METHODS if name != "gan"])  # its layers are smaller than its pictures
def test_feature_maps_that_do_not_fit_into_memory_are_refused(
    tmp_path: Path, photos: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """The crops alone would fit."""
    free = psutil.virtual_memory()._replace(available=2 * 2**30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    for part in ("A", "B"):
        photos(tmp_path / "d" / part, channels=3)
    crop = 256 if method == "pix2pix" else 64
    settings = {"device": "cpu", "precision": "fp32", "loop.steps": "1", "data.crop": str(crop)}
    settings["data.channels"] = "1" if method == "sharpen" else "3"
    settings["loop.batch_size"] = str(2**30 // (2 * 4 * 3 * crop**2))
    with pytest.raises(
        ValueError, match=r"lower loop\.batch_size or data\.crop, or raise loop\.accumulate, for the feature maps: that takes"
    ):
        restore.train(method, tmp_path / "d", overrides=settings, out=tmp_path / "run")


TEXTS = ["", "x" * 900, "../../*", "/etc/*", "\ud800", "\x1b[2J\u202eevil\n", "**/**/**foo", "a[", "~", "a\\..\\b", "con", ".", "*" * 500]
"""Texts that a type allows."""


@pytest.mark.parametrize("method", METHODS)
def test_hostile_texts_are_one_line_before_anything_is_written(tmp_path: Path, photos: Callable[..., Path], method: str) -> None:
    """All settings that are texts, in a run as users start it."""
    for part in ("A", "B"):
        photos(tmp_path / "d" / part, channels=3)
    texts = [(key, hint) for name, key, hint, *_ in EVERY if name == method and not _numeric(hint) and hint is not bool]
    assert len(texts) > 5
    settings = {"device": "cpu", "precision": "fp32", "loop.steps": "1", "loop.batch_size": "1", **SMALL[method]}
    for key, hint in texts:
        for text in _texts(method, key, hint):
            with pytest.raises(ValueError) as caught:
                restore.train(method, tmp_path / "d", overrides={**settings, key: text, **_needed(key)}, out=tmp_path / "run")
            assert len(str(caught.value)) < 2500, (key, text)
    assert not (tmp_path / "run").exists()


def _texts(method: str, key: str, hint: Any) -> list[str]:
    """A quarter of the texts: the methods with this setting share them, so that every one meets every setting."""
    methods = [name for name, other, *_ in EVERY if other == key]
    shares = min(4, len(methods))
    texts = TEXTS if hint is str else TEXTS[1:]  # no list and no start_from are fine
    return texts[methods.index(method) % shares :: shares]


def _needed(key: str) -> dict[str, str]:
    """What else must be set for a setting to have an effect."""
    if key.startswith("discriminator."):
        return {"losses.adversarial_weight": "1"}
    return {"data.target": "A/*"} if key == "data.source" else {"data.source": "A/*"} if key == "data.target" else {}
