"""One weights file: safetensors whose header carries the recipe, so that a file alone is ready to use.

The header's metadata holds `recipe`, a JSON object with at least `task`, `network` and `settings` (what `networks.build` takes),
and `sha256` of the tensors. safetensors runs no code, so a stranger's file is safe to open; what it says is checked, whatever it is.
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

from restore.writing import atomic_write

SUFFIX = ".safetensors"
LONGEST = 1_000_000
"""Characters of a recipe; ours have a few thousand."""


def metadata(path: Path) -> dict[str, str]:
    """What the header of a file says beside its tensors.

    Raises:
        ValueError: no file (a folder, a pipe, a link to itself), or no safetensors.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            raise ValueError(f"{path} is not a weights file: it is no regular file")
        with safe_open(str(path), framework="pt") as opened:
            return opened.metadata() or {}
    except (SafetensorError, OSError, UnicodeError) as error:
        raise ValueError(f"{path} is not a weights file (safetensors): {error}") from error


def has_recipe(path: Path) -> bool:
    """Whether a file is a weights file of this suite, rather than another program's or none."""
    try:
        return "recipe" in metadata(path)
    except ValueError:  # whoever opens it as ours says best what is wrong with it
        return True


def recipe(path: Path) -> dict[str, Any]:
    """How the weights of a file were made and what they are for.

    Raises:
        ValueError: the file is no weights file of this suite.
    """
    found = metadata(path)
    if "recipe" not in found:
        raise ValueError(f"{path} carries no recipe: it was not made by this suite; train or convert it with `restore`")
    return _parsed(path, found["recipe"])


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        made = json.loads(text) if len(text) <= LONGEST else None
    except (ValueError, RecursionError):
        made = None
    kinds = {"task": str, "network": str, "settings": dict}
    if not isinstance(made, dict) or not all(isinstance(made.get(key), kind) for key, kind in kinds.items()):
        raise ValueError(f"{path} has a recipe that lacks {', '.join(kinds)}: it was not made by this suite")
    odd = [key for key, fits in _ODDITIES.items() if not fits(made)]
    if odd:
        raise ValueError(f"{path} has a recipe whose {odd[0]} cannot be: it was not made by this suite")
    return made


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _training(made: Mapping[str, Any]) -> bool:
    training = made.get("training", {})
    noise = training.get("noise", {}) if isinstance(training, dict) else None
    return isinstance(noise, dict) and _number(noise.get("poisson_share", 0))


_ODDITIES: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "directions": lambda made: isinstance(names := made.get("directions", []), list) and all(isinstance(name, str) for name in names),
    "scale": lambda made: _number(made["settings"].get("scale", 1)),
    "channels": lambda made: _number(made["settings"].get("channels", 1)),
    "training": _training,
}
"""What else is read of a recipe where it is there, and whether it is what it must be."""


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the recipe of a file, checked against the checksum in its header.

    Raises:
        ValueError: not a weights file, or its content does not match its checksum.
    """
    made = recipe(path)
    tensors: dict[str, Tensor] = {}
    try:
        with safe_open(str(path), framework="pt") as opened:
            expected = (opened.metadata() or {}).get("sha256")
            for key in opened.keys():  # noqa: SIM118  (safe_open is no mapping)
                tensors[key] = opened.get_tensor(key)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if expected and digest(tensors) != expected:
        raise ValueError(f"{path} is damaged: its content does not match its checksum; fetch or train it again")
    return tensors, made


def fingerprint(path: Path) -> str:
    """What tells two weights files apart: the checksum in the header, or where there is none, the tensors'.

    Raises:
        ValueError: not a weights file.
    """
    return metadata(path).get("sha256") or digest(load(path)[0])


def one_way(tensors: dict[str, Tensor], recipe: dict[str, Any], direction: str | None = None) -> dict[str, Tensor]:
    """Of a file's tensors those of one network: of `direction` (`forward`, `backward`) where it holds several, the first by default.

    Raises:
        ValueError: the file holds no such direction.
    """
    directions = recipe.get("directions") or []
    if direction is not None and direction not in directions:
        raise ValueError(f"these weights have no direction {direction!r}: there are {', '.join(directions) or 'none'}")
    if not directions:
        return tensors
    prefix = f"{direction or directions[0]}."
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def save(path: Path, tensors: Mapping[str, Tensor], recipe: Mapping[str, Any], *, dtype: torch.dtype = torch.float16) -> None:
    """Write a weights file, whole or not at all; floating tensors are stored as `dtype`."""
    stored = {
        key: (value.detach().cpu().to(dtype) if value.is_floating_point() else value.detach().cpu()).contiguous()
        for key, value in tensors.items()
    }
    header = {"recipe": json.dumps(recipe, sort_keys=True), "sha256": digest(stored)}
    with atomic_write(path) as draft:
        draft.write_bytes(serialise(stored, header))


def digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values, in the order of names."""
    total = hashlib.sha256()
    for key in sorted(tensors):
        value = tensors[key]
        total.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        total.update(
            value.contiguous().view(torch.uint8).numpy().tobytes() if value.dim() else str(value.item()).encode()
        )
    return total.hexdigest()
