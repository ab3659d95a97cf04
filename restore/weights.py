"""Name -> weights file: which there are, where they are found by name, and what may be called how. See `weights_file` for the files."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from restore import weights_file
from restore.weights_file import LONGEST, SUFFIX, digest, has_recipe, load, one_way, recipe, save
from restore.writing import atomic_write

__all__ = [
    "SUFFIX", "Entry", "Found", "add", "blend", "card_text", "catalogue", "check_name", "digest", "entry", "find", "fingerprint",
    "folders", "has_recipe", "listing", "load", "one_way", "recipe", "run_folders", "save", "shipped_folder", "ships", "user_folder",
]  # fmt: skip


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
        text = card_text(card) if card is not None else ""
    except OSError:
        return UNSTATED
    found = re.search(rf"^- {key}:[ \t]*(\S.*?)[ \t]*$", text, re.MULTILINE)
    return found[1] if found else UNSTATED


def card_text(card: Path) -> str:
    """A card's text, as much of it as a card can need."""
    with card.open("rb") as file:
        return file.read(LONGEST).decode("utf-8", "replace")


def user_folder() -> Path | None:
    """Where `restore weights add` keeps weights by name: $RESTORE_WEIGHTS, else ~/.local/share/restore/weights; None without a home."""
    named = os.environ.get("RESTORE_WEIGHTS")
    if named:
        return Path(named)
    try:
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    except RuntimeError:  # neither HOME nor an entry among the users
        return None
    return Path(base) / "restore" / "weights"


def shipped_folder() -> Path:
    """The weights that ship: inside the package when installed, `weights/` of the checkout in an editable install."""
    return Path(str(resources.files("restore.shipped")))


def ships(name: str) -> bool:
    """Whether weights that ship are called so."""
    return len(name) < 100 and not set(name) & set("/\\\0") and (shipped_folder() / f"{name}{SUFFIX}").is_file()


def run_folders() -> list[Path]:
    """The runs under runs/ here, finished or not: their weights are used by the run's name."""
    return sorted(path for path in Path("runs").glob("*") if path.is_dir())


def folders() -> list[Path]:
    """Where names are looked up, first hit wins: what ships, the user's own, this folder's runs.

    A name that ships always means what ships, or a run of that name would replace what is chosen for a picture.
    """
    own = user_folder()
    return [folder for folder in (shipped_folder(), *([own] if own else []), *run_folders()) if folder.is_dir()]


@dataclass(frozen=True)
class Found:
    """One file in a folder where weights are looked up.

    Attributes:
        path: where it is.
        entry: what it holds; None where it cannot be used.
        problem: why it cannot, or "".
        hidden: whether another file is what its name means, so that it is used by its path.
    """

    path: Path
    entry: Entry | None
    problem: str
    hidden: bool

    @property
    def name(self) -> str:
        """What it is called."""
        return self.path.stem


def listing() -> list[Found]:
    """Every file in the folders where weights are looked up, sorted by name, the one that is meant by a name first."""
    found: list[Found] = []
    names: set[str] = set()
    for folder in folders():
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            item, problem = _read(path)
            found.append(Found(path, item, problem, item is not None and path.stem in names))
            names |= {path.stem} if item else set()
    return sorted(found, key=lambda one: one.path.stem)


def _read(path: Path) -> tuple[Entry | None, str]:
    """A file's entry, or why it has none: whatever a file does to its readers is its own line's matter."""
    try:
        return entry(path), ""
    except ValueError as error:
        return None, str(error)
    except Exception as error:
        return None, f"{path} cannot be read: {type(error).__name__}: {error}"


def catalogue() -> list[Entry]:
    """Every weights file that can be used by name, sorted by name; those that cannot are left out."""
    return [found.entry for found in listing() if found.entry and not found.hidden]


def entry(path: Path) -> Entry:
    """Read the header of one file.

    Raises:
        ValueError: the file is no weights file of this suite.
    """
    card = path.with_suffix(".md")
    return Entry(path.stem, path, recipe(path), card if card.is_file() else None)


def find(name: str | Path) -> Entry:
    """Find weights by name, by file, or by the folder of a run. A bare name that ships means what ships; "./NAME" is a path.

    Raises:
        ValueError: there is no such name or file; the text lists the names there are.
    """
    if ships(str(name)):
        return entry(shipped_folder() / f"{name}{SUFFIX}")
    path = Path(name)
    try:
        if path.is_file():
            return entry(path)
        published = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else []
        if len(published) == 1:
            return entry(published[0])
        # a folder that only happens to be called like the weights (`mine/` with pictures in it) must not hide them
        for folder in folders():
            candidate = folder / f"{name}{SUFFIX}"
            if candidate.is_file() and not published:
                return entry(candidate)
        if path.is_dir():
            raise ValueError(f"{path} holds {len(published)} weights files; name one of them")
    except OSError as error:  # a name that no file can have
        raise ValueError(f"no weights called {str(name)[:100]!r}: {error.strerror}") from error
    names = ", ".join(item.name for item in catalogue()) or "none"
    raise ValueError(f"no weights called {str(name)[:1000]!r}: neither a file nor one of the known names ({names})")


def fingerprint(found: Entry) -> str:
    """What tells two weights files apart, without reading them whole where their headers say it; see `weights_file.fingerprint`."""
    return weights_file.fingerprint(found.path)


def add(path: Path, name: str) -> Entry:
    """Keep a copy of a weights file under `name`, so that `--weights name` finds it.

    Raises:
        ValueError: the file is no weights file of this suite, or the name is taken or unusable.
    """
    load(path)
    target = _free(name)
    with atomic_write(target) as draft:
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
    (tensors, made), (others, other) = load(first.path), load(second.path)
    unlike = [key for key in ("task", "network", "settings", "directions") if made.get(key) != other.get(key)]
    unlike += sorted(key for key in tensors.keys() ^ others.keys())
    unlike += [key for key, value in tensors.items() if key in others and others[key].shape != value.shape]
    if unlike:
        raise ValueError(f"{first.name} and {second.name} cannot be blended: they differ in {', '.join(unlike[:4])}")
    between = {
        key: torch.lerp(value.float(), others[key].float(), share) if value.is_floating_point() else value for key, value in tensors.items()
    }
    kept = next(value.dtype for value in tensors.values() if value.is_floating_point())
    made = {**made, "blended": {"of": [first.name, second.name], "share": share}}
    save(target, between, made, dtype=kept)
    licences = " and ".join(dict.fromkeys((first.licence, second.licence)))
    purposes = " and ".join(dict.fromkeys((first.purpose, second.purpose)))
    told = (
        f"# {name}\n\n{first.name} and {second.name} blended, {share:g} of the latter. See their cards for data, terms and figures.\n\n"
        f"- for: {purposes}\n- licence: {licences}\n"
    )
    target.with_suffix(".md").write_text(told, encoding="utf-8")
    return entry(target)


def check_name(name: str) -> None:
    """See to it that weights can be called `name` on every system and command line.

    Raises:
        ValueError: they cannot.
    """
    if not name or name[0] in ".-" or len(name) > 100 or not name.isprintable() or set(name) & set('/\\:*?"<>|'):
        raise ValueError(f"{name[:100]!r} cannot be a weights name: use letters, digits, '-' and '_', a letter or digit first")


def _free(name: str) -> Path:
    """Where weights called `name` are to be kept."""
    check_name(name)
    if ships(name):
        raise ValueError(f"the name {name!r} is taken by weights that ship; choose another")
    folder = user_folder()
    if folder is None:
        raise ValueError("there is no home to keep weights in: name a folder in the environment, RESTORE_WEIGHTS=FOLDER")
    target = folder / f"{name}{SUFFIX}"
    if target.exists():
        raise ValueError(f"the name {name!r} is taken by {target}; choose another or remove that file")
    return target
