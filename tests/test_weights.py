"""Weights: by name, verified, and a stranger's file runs no code."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from restore import weights
from restore.api import add_weights, verify_weights

File = Callable[..., Path]


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-10] ^= 0xFF
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _names() -> list[str]:
    shipped = {path.stem for path in weights.shipped_folder().glob("*.safetensors")}
    return [entry.name for entry in weights.catalogue() if entry.name not in shipped]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_saved_is_loaded(tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = {
        "a": torch.randn(3, 4).T, "count": torch.tensor(7), "scale": torch.tensor(0.5),
        "channels-last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last), "empty": torch.zeros(0, 3),
    }  # fmt: skip
    recipe = {"task": "denoise", "network": "unet", "settings": {}, "note": "käse"}
    weights.save(tmp_path / "new" / "a.safetensors", tensors, recipe, dtype=dtype)
    loaded, read = weights.load(tmp_path / "new" / "a.safetensors")
    assert read == recipe
    for key, value in tensors.items():
        expected = value.to(dtype) if value.is_floating_point() else value
        assert loaded[key].dtype == expected.dtype
        assert torch.equal(loaded[key], expected)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.safetensors"]


def test_the_digest_tells_names_types_shapes_and_values_apart() -> None:
    variants = [
        {"a": torch.zeros(2, 3)}, {"b": torch.zeros(2, 3)}, {"a": torch.zeros(3, 2)}, {"a": torch.zeros(2, 3).half()},
        {"a": torch.ones(2, 3)}, {"a": torch.zeros(2, 3), "b": torch.zeros(1)},
    ]  # fmt: skip
    assert len({weights.digest(variant) for variant in variants}) == len(variants)


@pytest.mark.parametrize("harm", [_flip, _cut])
def test_a_damaged_file_is_detected(tmp_path: Path, weights_file: File, harm: Callable[[Path], None]) -> None:
    path = weights_file(tmp_path / "a.safetensors")
    harm(path)
    with pytest.raises(ValueError, match=r"a\.safetensors"):
        weights.load(path)


@pytest.mark.parametrize("harm", [_flip, _cut])
def test_verify_names_every_damaged_file(own_weights: Path, weights_file: File, harm: Callable[[Path], None]) -> None:
    weights_file(own_weights / "fine.safetensors")
    harm(weights_file(own_weights / "harmed.safetensors"))
    found = {one.name: problem for one, problem in verify_weights()}
    assert found["fine"] == ""
    assert "harmed.safetensors" in found["harmed"]
    assert "fine" in _names()


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_pickle_renamed_runs_no_code(tmp_path: Path) -> None:
    evil = _Evil(tmp_path / "touched")
    (tmp_path / "plain.safetensors").write_bytes(pickle.dumps(evil))
    torch.save({"weight": evil}, tmp_path / "torch.safetensors")
    for name in ("plain", "torch"):
        with pytest.raises(ValueError, match="not a weights file"):
            weights.load(tmp_path / f"{name}.safetensors")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("recipe", "word"),
    [
        (None, "no recipe"),
        ("nonsense", "recipe"),
        ("[1, 2]", "recipe"),
        ('{"task": "denoise"}', "recipe"),
        ('{"task": "denoise", "network": "unet", "settings": 3}', "recipe"),
    ],
)
def test_a_file_without_a_usable_recipe_is_refused(tmp_path: Path, recipe: str | None, word: str) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"recipe": recipe} if recipe else None)
    with pytest.raises(ValueError, match=rf"a\.safetensors.*{word}"):
        weights.entry(path)


def test_found_by_name_file_run_and_folder(own_weights: Path, weights_file: File, tmp_path: Path) -> None:
    named = weights_file(own_weights / "mine.safetensors")
    run = weights_file(Path("runs") / "first" / "first.safetensors", seed=1)
    assert weights.find("mine").path == named
    assert weights.find(named).name == "mine"
    assert weights.find("first").path.resolve() == run.resolve()
    assert weights.find(Path("runs") / "first").path == run
    assert _names() == ["first", "mine"]
    with pytest.raises(ValueError, match=r"'other'.*first.*mine"):
        weights.find("other")


def test_a_folder_of_pictures_does_not_hide_weights_of_its_name(own_weights: Path, weights_file: File) -> None:
    named = weights_file(own_weights / "mine.safetensors")
    Path("mine").mkdir()
    assert weights.find("mine").path == named


def test_the_users_own_come_first(own_weights: Path, weights_file: File) -> None:
    own = weights_file(own_weights / "same.safetensors")
    weights_file(Path("runs") / "same" / "same.safetensors", seed=1)
    assert weights.find("same").path == own
    assert [entry.path for entry in weights.catalogue() if entry.name == "same"] == [own]


def test_a_folder_with_several_is_ambiguous(own_weights: Path, weights_file: File) -> None:
    for name in ("a", "b"):
        weights_file(own_weights / f"{name}.safetensors")
    with pytest.raises(ValueError, match="holds 2 weights files"):
        weights.find(own_weights)


def test_added_with_its_card_under_a_name(own_weights: Path, weights_file: File, tmp_path: Path) -> None:
    path = weights_file(tmp_path / "downloaded.safetensors")
    path.with_suffix(".md").write_text("# card")
    entry = weights.add(path, "mine")
    assert entry.path == own_weights / "mine.safetensors"
    assert entry.card is not None
    assert entry.card.read_text() == "# card"
    assert weights.fingerprint(weights.find("mine")) == weights.fingerprint(weights.entry(path)) != ""
    with pytest.raises(ValueError, match="taken"):
        weights.add(path, "mine")


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a\\b", "a:b", "../a"])
def test_unusable_names_are_refused(own_weights: Path, weights_file: File, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a weights name"):
        weights.add(weights_file(tmp_path / "a.safetensors"), name)
    assert not list(own_weights.iterdir())


def test_what_is_damaged_is_not_added(own_weights: Path, weights_file: File, tmp_path: Path) -> None:
    path = weights_file(tmp_path / "a.safetensors")
    _flip(path)
    with pytest.raises(ValueError, match="damaged"):
        weights.add(path, "a")
    assert not list(own_weights.iterdir())


def test_what_cannot_be_used_is_not_added(own_weights: Path, weights_file: File, tmp_path: Path) -> None:
    path = weights_file(tmp_path / "a.safetensors")
    tensors, recipe = weights.load(path)
    first = next(iter(tensors))
    for number, (broken, words) in enumerate(
        (
            ({**recipe, "network": "os.system"}, "os.system"),
            ({**recipe, "settings": {**recipe["settings"], "widths": [4, 4]}}, "tensors|differ"),
            (recipe, "not finite"),
        )
    ):
        changed = {**tensors, first: torch.full_like(tensors[first], float("nan"))} if broken is recipe else tensors
        weights.save(tmp_path / f"{number}.safetensors", changed, broken)
        with pytest.raises(ValueError, match=words):
            add_weights(tmp_path / f"{number}.safetensors")
    assert not list(own_weights.iterdir())


SHIPPED = sorted((Path(__file__).resolve().parents[1] / "weights").glob("*.safetensors"))


TENSORS = {
    "artifacts": "31ed3334fb30958edb6fc2369e045047c95f9e80bfef545cb3436a11357a7387",
    "colorize": "3ccb5a1adc2ef1104ccf1d08f1866116825aca62a46e88f105189fe9efc11d45",
    "confidence": "e99e7dd92ce8cb4fa91232af9228f9ffec91eacfda7d440c0326c14592fd90da",
    "denoise-camera": "31ea4a5442f799b772a7012d3146ecc5ea7e49014223d364170df9a8130b2bcf",
    "denoise-color": "7f4924424b9b43f7cbef2f7f0547ffa4225195514659cbf6c2c79eac2636335f",
    "denoise-gray": "09b98aae835f96cc592ba53e71ad7fb0ff49c240bfaabb32ec1e88a412f4f8ad",
    "denoise-xray": "ba04ea727ea78deff038a064c55bb1abb4ed7085b8cb36dd5bbe5dcd625fd003",
    "digits": "95fc9f4abcb8309742ee9e9c56d9dc69b2bb016cdb537fcc7bcd7e3dbc1656a9",
    "enhance": "c9229e384c041224c83981615f3ddefd47cdcec409c0104eaa815fff5fa68618",
    "facades": "c6bcde9e686053139ac37d7a160aca2336f8a91a2a67f9fcc90558f10bda1457",
    "inpaint": "ecb32b7000dedef890bfd2f0ee40017264c433976fc3fc01ffab791dc0e1c90c",
    "photo2paint": "d8f9a93cca36ac839205c65fced7f8067b703857effc445d8cd14bfe90a3aa99",
    "scratches": "bee46a374133c37a908335d5d34326564a7e6dba0647a9244a85cd3b5179e7a8",
    "sharpen": "d7d34a38ac5e41eeead697e0f858d2607516f9c2b5927fc0937c8c65a43c4e0b",
    "upscale-x2": "baa58aa9cf3bf274597386f50848a6779c9324b399aacf2a5572a247a3174d68",
    "upscale-x4-photo": "112b50d8bb54762c5d959961d42bcdf6925a2046cf0a17770e453340cc8782d1",
    "upscale-x4": "22f96d547155b958d339d7f849f0778f83a62d5c4a666137daf8bf675d34e611",
    "xray-generator": "bc955d89b68f0292a416ee1d216e4a8fd441d1430be0beda7a2595d5cfc0f94f",
}
"""SHA-256 over the names, types, shapes and bytes of each shipped file's tensors: a change of its header leaves them untouched."""


def test_the_tensors_of_what_ships_are_untouched() -> None:
    assert {path.stem: weights.digest(weights.load(path)[0]) for path in SHIPPED} == TENSORS


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_ships_is_whole_and_has_its_card(path: Path) -> None:
    _, recipe = weights.load(path)
    assert json.dumps(recipe)
    assert weights.entry(path).card is not None


@pytest.mark.parametrize(
    ("names", "most"),
    [
        ("denoise-", 12e6),
        ("photo2paint", 6e6),
        ("facades", 6e6),
        ("upscale-", 8e6),
        (("inpaint", "scratches"), 8e6),
        (("artifacts", "colorize", "enhance", "sharpen"), 5e6),
        (("digits", "xray-generator"), 4e6),
        ("", 46e6),
    ],
)
def test_what_ships_is_small(names: str | tuple[str, ...], most: float) -> None:
    assert sum(path.stat().st_size for path in SHIPPED if path.name.startswith(names)) <= most


@pytest.mark.parametrize(
    ("card", "purpose", "licence"),
    [
        (None, "unstated", "unstated"),
        ("# mine\n\n- data: photographs\n", "unstated", "unstated"),
        ("# mine\n\n- for: old prints \n- licence: CC BY 4.0\n", "old prints", "CC BY 4.0"),
        ("# mine\n\n- licence:\n- for: scans, --scale 4\n\nfor: nothing\n", "scans, --scale 4", "unstated"),
    ],
)
def test_a_card_says_what_weights_are_for_and_their_licence(
    tmp_path: Path, weights_file: File, card: str | None, purpose: str, licence: str
) -> None:
    path = weights_file(tmp_path / "mine.safetensors")
    if card is not None:
        path.with_suffix(".md").write_text(card)
    entry = weights.entry(path)
    assert (entry.purpose, entry.licence) == (purpose, licence)


def test_every_shipped_card_states_both() -> None:
    for path in weights.shipped_folder().glob("*.safetensors"):
        entry = weights.entry(path)
        assert weights.UNSTATED not in (entry.purpose, entry.licence), path.name


def _pair(folder: Path) -> tuple[Path, Path]:
    """A whole file and one that shares a tensor with it."""
    recipe = {"task": "denoise", "network": "unet", "settings": {}}
    base, own = folder / "base.safetensors", folder / "own.safetensors"
    tensors = {"a": torch.randn(3, 4), "b": torch.randn(5)}
    weights.save(base, tensors, recipe)
    weights.save_difference(own, {**tensors, "b": torch.ones(5)}, {**recipe, "note": "its own"}, base)
    return base, own


def test_a_file_with_a_base_holds_what_differs_and_is_read_as_a_whole(tmp_path: Path) -> None:
    base, own = _pair(tmp_path)
    tensors, recipe = weights.load(own)
    assert torch.equal(tensors["a"], weights.load(base)[0]["a"])
    assert torch.equal(tensors["b"], torch.ones(5).half())
    assert recipe == {"task": "denoise", "network": "unet", "settings": {}, "note": "its own"}
    assert own.stat().st_size < base.stat().st_size + 200
    assert weights.fingerprint(weights.entry(own)) == weights.digest(tensors) != weights.fingerprint(weights.entry(base))


def test_a_base_must_be_there_and_be_the_same(tmp_path: Path) -> None:
    base, own = _pair(tmp_path)
    weights.save(base, {"a": torch.zeros(3, 4), "b": torch.zeros(5)}, weights.recipe(base))
    with pytest.raises(ValueError, match=r"own\.safetensors .* another base\.safetensors"):
        weights.load(own)
    base.unlink()
    with pytest.raises(ValueError, match=r"own\.safetensors .* differs from base\.safetensors: put"):
        weights.load(own)


def test_what_cannot_be_a_base_is_refused(tmp_path: Path) -> None:
    base, own = _pair(tmp_path)
    tensors, recipe = weights.load(own)
    for path, of, content in (
        (tmp_path / "c.safetensors", own, tensors), (tmp_path / "other" / "c.safetensors", base, tensors),
        (tmp_path / "c.safetensors", base, {"a": tensors["a"]}), (tmp_path / "c.safetensors", base, {**tensors, "a": torch.zeros(4, 3)}),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="cannot be the base"):
            weights.save_difference(path, content, recipe, of)
        assert not path.exists()


@pytest.mark.parametrize("base", [1, {"name": "../base", "sha256": ""}, {"name": "base"}, {"sha256": ""}, {"name": 3, "sha256": ""}])
def test_a_base_that_cannot_be_is_refused(tmp_path: Path, base: object) -> None:
    weights.save(tmp_path / "a.safetensors", {"a": torch.zeros(1)}, {"task": "denoise", "network": "unet", "settings": {}, "base": base})
    with pytest.raises(ValueError, match="whose base cannot be"):
        weights.load(tmp_path / "a.safetensors")


def test_a_file_with_a_base_is_added_whole(own_weights: Path, tmp_path: Path) -> None:
    _, own = _pair(tmp_path)
    added = weights.add(own, "mine")
    assert added.path.parent == own_weights
    assert "base" not in added.recipe
    assert all(torch.equal(value, weights.load(own)[0][key]) for key, value in weights.load(added.path)[0].items())
