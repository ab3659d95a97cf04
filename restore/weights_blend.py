"""Interpolate between the weights of two networks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from restore.weights import Entry, entry, load, save, unused_path
from restore.weights_file import Recipe

OF_ONE_RUN = ("validation", "steps", "environment", "calibration", "adapted")
"""Entries of a recipe that hold for the weights at the end of one run, and not for a blend."""
OF_BOTH = ("dataset", "method")
"""Entries that hold for a blend where both have the same."""


def blend(first: Entry, second: Entry, fraction: float, name: str) -> Entry:
    """Interpolate the weights of two networks, and keep the result under `name` in the user's folder.

    Network interpolation: Wang et al. 2018, ESRGAN, section 3.4. One network must have been trained from the other, or both from a
    third: between independent networks lies nothing of use. Integer tensors are the first's.

    Args:
        fraction: 0 gives `first`, 1 gives `second`.

    Raises:
        ValueError: `fraction` outside 0..1, networks of another architecture, task or settings, or a name that is taken or invalid.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"the fraction of the second must be in 0..1, not {fraction}")
    target = unused_path(name)
    (tensors, recipe), (others, other) = load(first.path), load(second.path)
    differences = _differences(tensors, recipe, others, other)
    if differences:
        raise ValueError(f"{first.name} and {second.name} cannot be blended: they differ in {', '.join(differences[:4])}")
    blended = {
        key: torch.lerp(value.float(), others[key].float(), fraction) if value.is_floating_point() else value
        for key, value in tensors.items()
    }
    if wrong := next((key for key, value in blended.items() if not bool(value.isfinite().all())), None):
        raise ValueError(f"{first.name} and {second.name} cannot be blended: {wrong} has values that are not finite")
    dtype = next(value.dtype for value in tensors.values() if value.is_floating_point())
    kept = {key: value for key, value in recipe.items() if key not in OF_ONE_RUN and (key not in OF_BOTH or other.get(key) == value)}
    save(target, blended, {**kept, "blended": {"of": [first.name, second.name], "fraction": fraction}}, dtype=dtype)
    target.with_suffix(".md").write_text(_blended_card(first, second, fraction, name), encoding="utf-8")
    return entry(target)


def _differences(tensors: Mapping[str, Tensor], recipe: Recipe, others: Mapping[str, Tensor], other: Recipe) -> list[str]:
    """What keeps two files from being blended: keys of their recipes and names of their tensors."""
    unlike = [key for key in ("task", "network", "settings", "directions", "labels") if recipe.get(key) != other.get(key)]
    unlike += sorted(key for key in tensors.keys() ^ others.keys())
    return unlike + [key for key, value in tensors.items() if key in others and others[key].shape != value.shape]


def _blended_card(first: Entry, second: Entry, fraction: float, name: str) -> str:
    purposes = " and ".join(dict.fromkeys((first.purpose, second.purpose)))
    licences = " and ".join(dict.fromkeys((first.licence, second.licence)))
    return (
        f"# {name}\n\n{first.name} and {second.name} blended, {fraction:g} of the latter. See their cards for data, terms and figures.\n\n"
        f"- for: {purposes}\n- licence: {licences}\n"
    )
