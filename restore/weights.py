"""Name -> verified weights file: safetensors whose header carries the recipe, so that a file alone is ready to use.

The header's metadata holds `recipe`, a JSON object with at least `task`, `network` and `settings` (what `networks.build` takes),
and `sha256` of the tensors. safetensors runs no code, so a stranger's file is safe to open.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from restore.writing import whole

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Entry:
    """One weights file.

    Attributes:
        name: what the user types.
        path: where it is.
        recipe: how it was made and what it is for (`task`, `network`, `settings`, `training`, ...).
        card: the path of its card (Markdown), or None.
    """

    name: str
    path: Path
    recipe: dict[str, Any]
    card: Path | None

    @property
    def purpose(self) -> str:
        """Which pictures it is chosen for, as its card says behind `- for:`; "unstated" where it does not."""
        return _stated(self.card, "for")

    @property
    def licence(self) -> str:
        """Its terms in a word, as its card says behind `- licence:`; "unstated" where it does not."""
        return _stated(self.card, "licence")


UNSTATED = "unstated"


def _stated(card: Path | None, key: str) -> str:
    """The text of the line `- key: text` of a card."""
    try:
        text = card.read_text(encoding="utf-8", errors="replace") if card is not None else ""
    except OSError:
        return UNSTATED
    found = re.search(rf"^- {key}:[ \t]*(\S.*?)[ \t]*$", text, re.MULTILINE)
    return found[1] if found else UNSTATED


def user_folder() -> Path:
    """Where `restore weights add` and training keep weights by name: $RESTORE_WEIGHTS, else ~/.local/share/restore/weights."""
    named = os.environ.get("RESTORE_WEIGHTS")
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(named) if named else Path(base) / "restore" / "weights"


def shipped_folder() -> Path:
    """The weights that ship: inside the package when installed, `weights/` of the checkout in an editable install."""
    return Path(str(resources.files("restore.shipped")))


def run_folders() -> list[Path]:
    """The finished runs under runs/ here: their weights are used by the run's name."""
    return sorted(path for path in Path("runs").glob("*") if path.is_dir())


def folders() -> list[Path]:
    """Where names are looked up, first hit wins: the user's own, this folder's runs, those that ship."""
    return [folder for folder in (user_folder(), *run_folders(), shipped_folder()) if folder.is_dir()]


def catalogue() -> list[Entry]:
    """Every weights file that can be used by name, sorted by name; unreadable files are left out."""
    found: dict[str, Entry] = {}
    for folder in folders():
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                found.setdefault(path.stem, entry(path))
            except ValueError:
                continue
    return [found[name] for name in sorted(found)]


def has_recipe(path: Path) -> bool:
    """Whether a file is a weights file of this suite, rather than another program's or none."""
    try:
        return "recipe" in _metadata(path)
    except ValueError:  # whoever opens it as ours says best what is wrong with it
        return True


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(str(path), framework="pt") as opened:
            return opened.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a weights file (safetensors): {error}") from error


def entry(path: Path) -> Entry:
    """Read the header of one file.

    Raises:
        ValueError: the file is no weights file of this suite.
    """
    metadata = _metadata(path)
    if "recipe" not in metadata:
        raise ValueError(f"{path} carries no recipe: it was not made by this suite; train or convert it with `restore`")
    card = path.with_suffix(".md")
    return Entry(path.stem, path, _recipe(path, metadata["recipe"]), card if card.is_file() else None)


def _recipe(path: Path, text: str) -> dict[str, Any]:
    try:
        recipe = json.loads(text)
    except ValueError:
        recipe = None
    kinds = {"task": str, "network": str, "settings": dict}
    if not isinstance(recipe, dict) or not all(isinstance(recipe.get(key), kind) for key, kind in kinds.items()):
        raise ValueError(f"{path} has a recipe that lacks {', '.join(kinds)}: it was not made by this suite")
    return recipe


def find(name: str | Path) -> Entry:
    """Find weights by name, by file, or by the folder of a run.

    Raises:
        ValueError: there is no such name or file; the text lists the names there are.
    """
    path = Path(name)
    if path.is_file():
        return entry(path)
    published = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else []
    if len(published) == 1:
        return entry(published[0])
    # a folder that only happens to be called like the weights (`denoise-xray/` with pictures in it) must not hide them
    for folder in folders():
        candidate = folder / f"{name}{SUFFIX}"
        if candidate.is_file() and not published:
            return entry(candidate)
    if path.is_dir():
        raise ValueError(f"{path} holds {len(published)} weights files; name one of them")
    names = ", ".join(item.name for item in catalogue()) or "none"
    raise ValueError(f"no weights called {str(name)!r}: neither a file nor one of the known names ({names})")


def fingerprint(found: Entry) -> str:
    """What tells two weights files apart without reading them whole: the checksum in the header."""
    with safe_open(str(found.path), framework="pt") as opened:
        return str((opened.metadata() or {}).get("sha256", ""))


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the recipe of a file, checked against the checksum in its header.

    Raises:
        ValueError: not a weights file, or its content does not match its checksum.
    """
    found = entry(path)
    tensors: dict[str, Tensor] = {}
    with safe_open(str(path), framework="pt") as opened:
        expected = (opened.metadata() or {}).get("sha256")
        for key in opened.keys():  # noqa: SIM118  (safe_open is no mapping)
            tensors[key] = opened.get_tensor(key)
    if expected and digest(tensors) != expected:
        raise ValueError(f"{path} is damaged: its content does not match its checksum; fetch or train it again")
    return tensors, found.recipe


def one_way(tensors: dict[str, Tensor], recipe: dict[str, Any], direction: str | None = None) -> dict[str, Tensor]:
    """Of a file's tensors those of one network: of `direction` (`forward`, `backward`) where it holds several, the first unless told.

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


def save(path: Path, tensors: dict[str, Tensor], recipe: dict[str, Any], *, dtype: torch.dtype = torch.float16) -> None:
    """Write a weights file, whole or not at all; floating tensors are stored as `dtype`."""
    stored = {
        key: (value.detach().cpu().to(dtype) if value.is_floating_point() else value.detach().cpu()).contiguous()
        for key, value in tensors.items()
    }
    metadata = {"recipe": json.dumps(recipe, sort_keys=True), "sha256": digest(stored)}
    with whole(path) as draft:
        draft.write_bytes(serialise(stored, metadata))


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


def verify() -> list[tuple[Entry, str | None]]:
    """Check every known file; the second of each pair is what is wrong, or None."""
    results: list[tuple[Entry, str | None]] = []
    for path in (path for folder in folders() for path in sorted(folder.glob(f"*{SUFFIX}"))):
        item = Entry(path.stem, path, {}, None)
        try:
            item = entry(path)
            load(path)
            results.append((item, None))
        except ValueError as error:
            results.append((item, str(error)))
    return results


def add(path: Path, name: str) -> Entry:
    """Keep a copy of a weights file under `name`, so that `--weights name` finds it.

    Raises:
        ValueError: the file is no weights file of this suite, or the name is taken or unusable.
    """
    load(path)
    target = _free(name)
    with whole(target) as draft:
        shutil.copyfile(path, draft)
    if path.with_suffix(".md").is_file():
        shutil.copyfile(path.with_suffix(".md"), target.with_suffix(".md"))
    return entry(target)


def blend(first: Entry, second: Entry, share: float, name: str) -> Entry:
    """Keep under `name` the weights that lie between two networks', at `share` of the way from `first` to `second`.

    Network interpolation: Wang et al. 2018, ESRGAN, section 3.4. It takes networks one of which began as the other, or both as a third;
    between two that were trained apart lies nothing of use. Counters are the first's.

    Args:
        share: 0..1.

    Raises:
        ValueError: `share` outside 0..1, networks of unlike architecture, task or settings, or a name that is taken or unusable.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share of the second must be in 0..1, not {share}")
    target = _free(name)
    (tensors, recipe), (others, other) = load(first.path), load(second.path)
    unlike = [key for key in ("task", "network", "settings", "directions") if recipe.get(key) != other.get(key)]
    unlike += sorted(key for key in tensors.keys() ^ others.keys())
    unlike += [key for key, value in tensors.items() if key in others and others[key].shape != value.shape]
    if unlike:
        raise ValueError(f"{first.name} and {second.name} cannot be blended: they differ in {', '.join(unlike[:4])}")
    between = {
        key: torch.lerp(value.float(), others[key].float(), share) if value.is_floating_point() else value for key, value in tensors.items()
    }
    kept = next(value.dtype for value in tensors.values() if value.is_floating_point())
    made = {**recipe, "blended": {"of": [first.name, second.name], "share": share}}
    save(target, between, made, dtype=kept)
    licences = " and ".join(dict.fromkeys((first.licence, second.licence)))
    purposes = " and ".join(dict.fromkeys((first.purpose, second.purpose)))
    told = (
        f"# {name}\n\n{first.name} and {second.name} blended, {share:g} of the latter. See their cards for data, terms and figures.\n\n"
        f"- for: {purposes}\n- licence: {licences}\n"
    )
    target.with_suffix(".md").write_text(told, encoding="utf-8")
    return entry(target)


def _free(name: str) -> Path:
    """Where weights called `name` are to be kept."""
    if not name or name.startswith(".") or set(name) & set('/\\:*?"<>|'):
        raise ValueError(f"{name!r} cannot be a weights name: use letters, digits, '-' and '_'")
    target = user_folder() / f"{name}{SUFFIX}"
    if target.exists():
        raise ValueError(f"the name {name!r} is taken by {target}; choose another or remove that file")
    return target
