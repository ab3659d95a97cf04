"""Interpolation between the weights of two networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from restore import weights
from restore.weights_blend import blend

File = Callable[..., Path]


@pytest.mark.parametrize("fraction", [0.0, 0.25, 1.0])
def test_a_blend_lies_between_two_networks(own_weights: Path, weights_file: File, tmp_path: Path, fraction: float) -> None:
    first, second = (weights.entry(weights_file(tmp_path / f"{seed}.safetensors", seed=seed)) for seed in (0, 1))
    made = blend(first, second, fraction, "between")
    tensors, recipe = weights.load(made.path)
    one, other = weights.load(first.path)[0], weights.load(second.path)[0]
    for key, value in tensors.items():
        torch.testing.assert_close(value.float(), (1 - fraction) * one[key].float() + fraction * other[key].float(), rtol=1e-2, atol=1e-4)
    assert recipe["blended"] == {"of": ["0", "1"], "fraction": fraction} and recipe["network"] == "unet"
    assert made.card is not None and "0 and 1 blended" in made.card.read_text()
    assert [path.name for path in sorted(own_weights.iterdir())] == ["between.md", "between.safetensors"]


def test_what_cannot_be_blended_is_refused(own_weights: Path, weights_file: File, tmp_path: Path) -> None:
    first, wide, other = (
        weights.entry(weights_file(tmp_path / f"{name}.safetensors", **settings))
        for name, settings in (("gray", {}), ("colour", {"channels": 3}), ("task", {"task": "enhance"}))
    )
    for second, fraction, name, word in (
        (first, 1.5, "a", "0..1"), (wide, 0.5, "a", "gray and colour .* differ in settings"), (other, 0.5, "a", "differ in task"),
        (first, 0.5, "a/b", "cannot be a weights name"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=word):
            blend(first, second, fraction, name)
    assert not list(own_weights.iterdir())


def test_values_that_are_not_finite_are_refused(own_weights: Path, weights_file: File, tmp_path: Path) -> None:
    first = weights.entry(weights_file(tmp_path / "a.safetensors"))
    tensors, recipe = weights.load(first.path)
    weights.save(tmp_path / "b.safetensors", {key: torch.full_like(value, float("nan")) for key, value in tensors.items()}, recipe)
    with pytest.raises(ValueError, match="not finite"):
        blend(first, weights.entry(tmp_path / "b.safetensors"), 0.5, "mixed")
    assert not list(own_weights.iterdir())


def test_networks_of_other_classes_are_refused(own_weights: Path, weights_file: File, tmp_path: Path) -> None:
    first, second = (weights.entry(weights_file(tmp_path / f"{name}.safetensors", labels=[name, "z"])) for name in "ab")
    with pytest.raises(ValueError, match="differ in labels"):
        blend(first, second, 0.5, "mixed")
    assert not list(own_weights.iterdir())


def test_notes_in_the_place_of_the_card_stay(own_weights: Path, weights_file: File, tmp_path: Path) -> None:
    first = weights.entry(weights_file(tmp_path / "a.safetensors"))
    (own_weights / "noted.md").write_text("mine")
    with pytest.raises(ValueError, match=r"'noted' is taken by .*noted\.md"):
        blend(first, first, 0.5, "noted")
    assert (own_weights / "noted.md").read_text() == "mine"


def test_a_blend_claims_no_figures_of_its_parents(own_weights: Path, weights_file: File, tmp_path: Path) -> None:
    facts = {"training": {"seed": 1}, "method": "denoise", "validation": {"psnr": 30.0}, "steps": 9, "environment": "here"}
    first, second = (weights.entry(weights_file(tmp_path / f"{name}.safetensors", dataset=name, **facts)) for name in "ab")
    recipe = blend(first, second, 0.5, "mixed").recipe
    assert recipe["method"] == "denoise" and recipe["training"] == {"seed": 1}
    assert not {"validation", "steps", "environment", "dataset"} & recipe.keys()
