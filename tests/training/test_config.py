"""Configuration: defaults < file < key=value, checked before anything runs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from restore.tasks.training_methods import METHODS
from restore.training import config


@dataclass(frozen=True)
class Inner:
    rate: float = field(default=0.5, metadata={"help": "a rate"})
    sizes: tuple[int, ...] = (1, 2)
    range: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError("rate must not be negative")


@dataclass(frozen=True)
class Outer:
    steps: int = 10
    name: str = "plain"
    channels: Literal[1, 3] = 1
    mode: Literal["fast", "slow"] = "fast"
    start: str | None = None
    shuffle: bool = True
    folder: Path = Path("here")
    patterns: tuple[str, ...] = ()
    inner: Inner = field(default_factory=Inner)


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def test_defaults_file_and_overrides_in_this_order(tmp_path: Path) -> None:
    file = _file(tmp_path, 'steps = 20\nname = "file"\n[inner]\nrate = 2\n')
    made = config.resolve(Outer, file, {"name": "typed", "inner.sizes": "3,4,5"})
    assert (made.steps, made.name, made.inner.rate, made.inner.sizes) == (20, "typed", 2.0, (3, 4, 5))
    assert isinstance(made.inner.rate, float)


@dataclass(frozen=True)
class Special:
    inner: Inner = field(default=Inner(rate=3.0, sizes=(9,)))
    nested: Outer = field(default_factory=lambda: Outer(inner=Inner(rate=4.0)))


def test_one_setting_leaves_its_neighbours_at_the_defaults_of_the_whole(tmp_path: Path) -> None:
    made = config.resolve(Special, _file(tmp_path, "[inner]\nrange = [0.0, 2.0]\n"), {"nested.inner.sizes": "5"})
    assert made.inner == Inner(3.0, (9,), (0.0, 2.0))
    assert made.nested.inner == Inner(4.0, (5,))


@pytest.mark.parametrize("method", sorted(METHODS))
def test_setting_what_is_so_already_changes_nothing(method: str) -> None:
    default = config.resolve(METHODS[method].config)
    for group, values in config.as_dict(default).items():
        for key, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, int | float) and not isinstance(value, bool):
                assert config.resolve(METHODS[method].config, None, {f"{group}.{key}": str(value)}) == default, f"{group}.{key}"


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("steps", "7", 7),
        ("inner.rate", "1e-3", 1e-3),
        ("shuffle", "no", False),
        ("start", "none", None),
        ("start", "some", "some"),
        ("channels", "3", 3),
        ("mode", "slow", "slow"),
        ("folder", "a/b", Path("a/b")),
        ("inner.range", "[1, 2.5]", (1.0, 2.5)),
        ("inner.sizes", "8", (8,)),
        ("patterns", "a/*.png, 'b c/*'", ("a/*.png", "b c/*")),
    ],
)
def test_what_is_typed_becomes_the_fields_type(key: str, text: str, expected: Any) -> None:
    value: Any = config.resolve(Outer, overrides={key: text})
    for part in key.split("."):
        value = getattr(value, part)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("step", "steps"), ("inner.rat", "inner.rate"), ("innner.rate", "inner.rate"), ("shufle", "shuffle")],
)
def test_an_unknown_key_names_the_nearest(key: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=rf"unknown setting .*did you mean '{nearest}'"):
        config.resolve(Outer, overrides={key: "1"})


@pytest.mark.parametrize(
    ("toml", "word"),
    [
        ('steps = "many"', "steps.* must be int"),
        ("steps = true", "steps.* must be int"),
        ("steps = 1.5", "steps.* must be int"),
        ("shuffle = 1", "shuffle.* must be bool"),
        ("name = 3", "name.* must be str"),
        ("channels = 2", "channels.* must be one of 1, 3"),
        ("channels = true", "channels.* must be one of 1, 3"),
        ('mode = "slowly"', "mode.* must be one of fast, slow"),
        ("patterns = 3", "patterns.* must be a list"),
        ("inner = 3", "inner.* is a group"),
        ("[inner]\nrange = [1, 2, 3]", "inner.range.* list of 2"),
        ("[inner]\nrate = -1", "inner: rate must not be negative"),
        ("steps = = 3", "cannot read the configuration"),
    ],
)
def test_a_wrong_type_or_value_says_where(tmp_path: Path, toml: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        config.resolve(Outer, _file(tmp_path, toml))


@pytest.mark.parametrize(("key", "text"), [("steps", "1.5"), ("inner.rate", "fast"), ("shuffle", "maybe"), ("inner", "3")])
def test_a_wrong_text_says_where(key: str, text: str) -> None:
    with pytest.raises(ValueError, match=key):
        config.resolve(Outer, overrides={key: text})


def test_a_missing_file_is_a_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot read"):
        config.resolve(Outer, tmp_path / "none.toml")


def test_toml_is_read_back_to_the_same(tmp_path: Path) -> None:
    made = Outer(
        steps=3, name='say "\\" or\ttab\nline', channels=3, start="x", shuffle=False, folder=Path("a b/c"),
        patterns=("a/*", "b\\c"), inner=Inner(1e-7, (), (1.0, 1e22)),
    )  # fmt: skip
    assert config.resolve(Outer, _file(tmp_path, config.to_toml(made))) == made
    assert "# a rate" in config.to_toml(made)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_methods_defaults_survive_toml(tmp_path: Path, method: str) -> None:
    kind = METHODS[method].config
    assert config.resolve(kind, _file(tmp_path, config.to_toml(kind()))) == kind()


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_setting_has_its_help(method: str) -> None:
    def lacking(kind: Any, prefix: str = "") -> list[str]:
        found = []
        for entry in dataclasses.fields(kind):
            nested = next(filter(dataclasses.is_dataclass, (entry.default_factory, entry.default)), None)
            if nested is not None:
                found += lacking(nested, f"{prefix}{entry.name}.")
            elif not entry.metadata.get("help"):
                found.append(prefix + entry.name)
        return found

    assert not lacking(METHODS[method].config)


def test_as_dict_is_plain() -> None:
    plain = config.as_dict(Outer(patterns=("a",)))
    assert plain["patterns"] == ["a"]
    assert plain["inner"]["sizes"] == [1, 2]


def test_a_denoiser_shows_no_discriminator_unless_asked(tmp_path: Path) -> None:
    plain = config.resolve(METHODS["denoise"].config)
    assert not {"discriminator", "monitor"} & config.as_dict(plain).keys()
    assert "[discriminator" not in config.to_toml(plain) and "[monitor]" not in config.to_toml(plain)
    asked = config.resolve(METHODS["denoise"].config, None, {"losses.adversarial_weight": "0.1", "monitor.every": "7"})
    assert config.as_dict(asked)["monitor"]["every"] == 7
    assert config.resolve(METHODS["denoise"].config, _file(tmp_path, config.to_toml(asked))) == asked


@pytest.mark.parametrize(("key", "text"), [("optimizer.learning_rate", "0"), ("optimizer.beta1", "1"), ("data.test_fraction", "1")])
def test_strict_bounds_are_strict(key: str, text: str) -> None:
    with pytest.raises(ValueError, match=rf"{key.partition('.')[2]}' must be (above|below) {text}"):
        config.resolve(METHODS["denoise"].config, None, {key: text})
