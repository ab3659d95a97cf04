"""One weights file: safetensors with a recipe in its header, so that the file alone is ready to use.

The header's metadata holds `recipe`, a JSON object with at least `task`, `network` and `settings` (what `networks.build` takes),
and `sha256` of the tensors. A recipe with a `base` (`name`, `sha256`) is that of a file with only those tensors that differ from those of
another file in the same folder. safetensors runs no code, so an untrusted file is safe to open. All its contents are checked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from restore.limits import is_folder_name
from restore.writing import atomic_write

SUFFIX = ".safetensors"
LONGEST = 1_000_000
"""Largest recipe in characters; ours have a few thousand."""


LARGEST_SIDE = 65_536
"""Pixels; of pictures that a network learns from."""
Recipe = dict[str, Any]
"""The header of a weights file, from JSON: `task`, `network`, `settings`, `training` ..."""


def metadata(path: Path) -> dict[str, str]:
    """Read the metadata in a file's header.

    Raises:
        ValueError: not a regular file (a folder, a pipe, a link to itself), or not safetensors.
    """
    try:
        if not path.is_file():  # opening a pipe would block
            raise ValueError(f"{path} is not a weights file: it is no regular file")
        with safe_open(str(path), framework="pt") as opened:
            return opened.metadata() or {}
    except (SafetensorError, OSError, UnicodeError) as error:
        raise ValueError(f"{path} is not a weights file (safetensors): {error}") from error


def has_recipe(path: Path) -> bool:
    """Whether a file is a weights file of this suite. An unreadable file counts as one: loading it then gives the reason."""
    try:
        return "recipe" in metadata(path)
    except ValueError:
        return True


def recipe(path: Path) -> Recipe:
    """Read a file's recipe: how its weights were made and what they are for.

    Raises:
        ValueError: the file is no weights file of this suite.
    """
    header = metadata(path)
    if "recipe" not in header:
        raise ValueError(f"{path} carries no recipe: it was not made by this suite; train or convert it with `restore`")
    return _parsed(path, header["recipe"])


def _parsed(path: Path, text: str) -> Recipe:
    try:
        parsed = json.loads(text) if len(text) <= LONGEST else None
    except (ValueError, RecursionError):
        parsed = None
    kinds = {"task": str, "network": str, "settings": dict}
    if not isinstance(parsed, dict) or not all(isinstance(parsed.get(key), kind) for key, kind in kinds.items()):
        raise ValueError(f"{path} has a recipe that lacks {', '.join(kinds)}: it was not made by this suite")
    invalid = [key for key, is_valid in _OPTIONAL.items() if not is_valid(parsed)]
    if invalid:
        raise ValueError(f"{path} has a recipe whose {invalid[0]} cannot be: it was not made by this suite")
    return parsed


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_training(recipe: Recipe) -> bool:
    training = recipe.get("training", {})
    if not isinstance(training, dict):
        return False
    noise, data = training.get("noise", {}), training.get("data", {})
    if not isinstance(noise, dict) or not isinstance(data, dict) or not _has_sides(data):
        return False
    return all(_is_number(noise.get(key, 0)) for key in ("poisson_fraction", "camera_fraction"))


def _has_sides(data: Recipe) -> bool:
    """The range of the training pictures' shorter sides, which a translation fits pictures to."""
    sides = data.get("sides", [0, 0])
    return isinstance(sides, list) and len(sides) == 2 and all(type(side) is int and 0 <= side <= LARGEST_SIDE for side in sides)


def _has_directions(recipe: Recipe) -> bool:
    names = recipe.get("directions", [])
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _has_base(recipe: Recipe) -> bool:
    base = recipe.get("base", {"name": "none", "sha256": ""})
    return isinstance(base, dict) and is_folder_name(base.get("name")) and isinstance(base.get("sha256"), str)


def _has_labels(recipe: Recipe) -> bool:
    """The names of a generator's classes become folders."""
    names = recipe.get("labels", [])
    return isinstance(names, list) and all(is_folder_name(name) for name in names) and len({name.lower() for name in names}) == len(names)


_OPTIONAL: Mapping[str, Callable[[Recipe], bool]] = {
    "base": _has_base,
    "directions": _has_directions,
    "scale": lambda recipe: _is_number(recipe["settings"].get("scale", 1)),
    "channels": lambda recipe: _is_number(recipe["settings"].get("channels", 1)),
    "training": _is_training,
    "labels": _has_labels,
}
"""The optional parts of a recipe that the suite reads, each with its check."""


def load(path: Path) -> tuple[dict[str, Tensor], Recipe]:
    """Read the tensors and the recipe of a file, and check them against the checksum in its header. What it shares with a base is added.

    Raises:
        ValueError: not a weights file, its content does not match its checksum, or its base is missing.
    """
    tensors, checked = _load_own(path)
    if "base" not in checked:
        return tensors, checked
    base = checked["base"]
    beside = path.with_name(f"{base['name']}{SUFFIX}")
    if not beside.is_file():
        raise ValueError(f"{path} holds only what differs from {beside.name}: put that file into the same folder")
    shared, _ = _load_own(beside)
    if digest(shared) != base["sha256"]:
        raise ValueError(f"{path} holds only what differs from another {beside.name} than the one in its folder: fetch both again")
    return {**shared, **tensors}, {key: value for key, value in checked.items() if key != "base"}


def _load_own(path: Path) -> tuple[dict[str, Tensor], Recipe]:
    """The tensors in a file, checked, and its recipe."""
    checked = recipe(path)
    tensors: dict[str, Tensor] = {}
    try:
        with safe_open(str(path), framework="pt") as opened:
            expected = (opened.metadata() or {}).get("sha256")
            for key in opened.keys():  # noqa: SIM118 - safe_open is no mapping
                tensors[key] = opened.get_tensor(key)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if expected and digest(tensors) != expected:
        raise ValueError(f"{path} is damaged: its content does not match its checksum; fetch or train it again")
    return tensors, checked


def fingerprint(path: Path) -> str:
    """The checksum of a file's tensors: from its header, or computed if the header has none or the file a base.

    Raises:
        ValueError: not a weights file.
    """
    whole = "base" not in recipe(path)
    return (metadata(path).get("sha256") if whole else None) or digest(load(path)[0])


def select_network(tensors: dict[str, Tensor], recipe: Recipe, direction: str | None = None) -> dict[str, Tensor]:
    """Select the tensors of one network from a file's tensors.

    Args:
        tensors, recipe: of the file.
        direction: which network of a file that holds several (`forward`, `backward`); the first by default.

    Raises:
        ValueError: the file has no such direction.
    """
    directions = recipe.get("directions") or []
    if direction is not None and direction not in directions:
        raise ValueError(f"these weights have no direction {direction!r}: there are {', '.join(directions) or 'none'}")
    if not directions:
        return tensors
    prefix = f"{direction or directions[0]}."
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def save(path: Path, tensors: Mapping[str, Tensor], recipe: Recipe, *, dtype: torch.dtype = torch.float16) -> None:
    """Write a weights file, whole or not at all. Floating-point tensors are stored as `dtype`."""
    stored = {
        key: (value.detach().cpu().to(dtype) if value.is_floating_point() else value.detach().cpu()).contiguous()
        for key, value in tensors.items()
    }
    header = {"recipe": json.dumps(recipe, sort_keys=True), "sha256": digest(stored)}
    with atomic_write(path) as draft:
        draft.write_bytes(serialise(stored, header))


def save_difference(path: Path, tensors: Mapping[str, Tensor], recipe: Recipe, base: Path) -> None:
    """Write a weights file with only those tensors that differ from those of `base`, beside which it must lie.

    Raises:
        ValueError: `base` is no weights file, has a base itself, lies elsewhere or is of another network.
    """
    shared, other = _load_own(base)
    if "base" in other or base.parent != path.parent:
        raise ValueError(f"{base} cannot be the base of {path}: take a whole weights file in the same folder")
    if shared.keys() != tensors.keys() or any(shared[key].shape != value.shape for key, value in tensors.items()):
        raise ValueError(f"{base} cannot be the base of {path}: it is of another network")
    stored = {key: value.detach().cpu().to(shared[key].dtype) for key, value in tensors.items()}
    own = {key: value for key, value in stored.items() if not torch.equal(value, shared[key])}
    save(path, own, {**recipe, "base": {"name": base.stem, "sha256": digest(shared)}})


def digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values, in the order of names."""
    total = hashlib.sha256()
    for key in sorted(tensors):
        value = tensors[key]
        total.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        total.update(value.flatten().contiguous().view(torch.uint8).numpy().tobytes() if value.dim() else str(value.item()).encode())
    return total.hexdigest()
