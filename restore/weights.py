"""The catalogue of weights: from a name to a verified file, and the names that weights can have. See `weights_file` for one file."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from restore import weights_file
from restore.weights_file import LONGEST, SUFFIX, Recipe, digest, has_recipe, load, recipe, save, save_difference, select_network
from restore.writing import atomic_write, real

__all__ = [
    "SUFFIX", "Entry", "Listed", "add", "card_text", "catalogue", "check_name", "digest", "entry", "find", "fingerprint",
    "folders", "has_recipe", "listing", "load", "recipe", "run_folders", "save", "save_difference", "select_network", "shipped_folder",
    "ships", "unused_path", "user_folder",
]  # fmt: skip

UNSTATED = "unstated"
"""The purpose or the licence of weights whose card states none."""


@dataclass(frozen=True)
class Entry:
    """One weights file.

    Attributes:
        name: what the user types.
        path: the file.
        recipe: how the weights were made and what they are for (`task`, `network`, `settings`, `training`, ...).
        card: the path of their card (Markdown), or None.
    """

    name: str
    path: Path
    recipe: Recipe
    card: Path | None

    @property
    def purpose(self) -> str:
        """The pictures that they are for: the card's text after `- for:`, or UNSTATED."""
        return _stated(self.card, "for")

    @property
    def licence(self) -> str:
        """Their terms in a word: the card's text after `- licence:`, or UNSTATED."""
        return _stated(self.card, "licence")


@dataclass(frozen=True)
class Listed:
    """One file in the folders that are searched for weights.

    Attributes:
        path: the file.
        entry: its content; None for an unusable file.
        problem: why it is unusable, or "".
        hidden: its name means another file, so that it is used by its path.
    """

    path: Path
    entry: Entry | None
    problem: str
    hidden: bool

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem


# where weights are


def shipped_folder() -> Path:
    """The folder of the weights that ship: inside the package, or `weights/` of the checkout in an editable install."""
    return Path(str(resources.files("restore.shipped")))


def user_folder() -> Path | None:
    """The folder of `restore weights add`: $RESTORE_WEIGHTS, else ~/.local/share/restore/weights; None without a home."""
    chosen = os.environ.get("RESTORE_WEIGHTS")
    if chosen:
        return Path(chosen)
    try:
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    except RuntimeError:  # neither HOME nor an entry among the users
        return None
    return Path(base) / "restore" / "weights"


def run_folders() -> list[Path]:
    """The runs in `runs/` of the working directory, finished or not. A run's name means its weights."""
    return sorted(path for path in Path("runs").glob("*") if path.is_dir())


def folders() -> list[Path]:
    """The folders that are searched for a name, first match wins: shipped weights, the user's own, the runs here.

    Shipped weights come first: otherwise a run of that name would replace what is chosen for a picture.
    """
    own = user_folder()
    return [folder for folder in (shipped_folder(), *([own] if own else []), *run_folders()) if folder.is_dir()]


def ships(name: str) -> bool:
    """Whether shipped weights have this name."""
    return len(name) < 100 and not set(name) & set("/\\\0") and (shipped_folder() / f"{name}{SUFFIX}").is_file()


# what is there


def entry(path: Path) -> Entry:
    """Read the header of one file.

    Raises:
        ValueError: the file is no weights file of this suite.
    """
    card = path.with_suffix(".md")
    return Entry(path.stem, path, recipe(path), card if card.is_file() else None)


def listing() -> list[Listed]:
    """Every file in the searched folders, sorted by name; the file that a name means comes first."""
    rows: list[Listed] = []
    names: set[str] = set()
    for folder in folders():
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            item, problem = _read(path)
            rows.append(Listed(path, item, problem, item is not None and path.stem in names))
            names |= {path.stem} if item else set()
    return sorted(rows, key=lambda row: row.path.stem)


def catalogue() -> list[Entry]:
    """The weights that can be used by name, sorted by name. Unusable files are left out."""
    return [row.entry for row in listing() if row.entry and not row.hidden]


def find(name: str | Path) -> Entry:
    """Find weights by name, by file, or by the folder of a run. A bare name that ships means the shipped file; "./NAME" is a path.

    Raises:
        ValueError: there is no such name or file; the text lists the names there are.
    """
    if ships(str(name)):
        return entry(shipped_folder() / f"{name}{SUFFIX}")
    try:
        path = _file_of(name)
    except OSError as error:  # a name that no file can have
        raise ValueError(f"no weights called {str(name)[:100]!r}: {error.strerror}") from error
    if path is not None:
        return entry(path)
    names = ", ".join(item.name for item in catalogue()) or "none"
    raise ValueError(f"no weights called {str(name)[:1000]!r}: neither a file nor one of the known names ({names})")


def fingerprint(found: Entry) -> str:
    """The checksum that tells two weights files apart; see `weights_file.fingerprint`."""
    return weights_file.fingerprint(found.path)


def card_text(card: Path) -> str:
    """A card's text, cut at LONGEST bytes."""
    with card.open("rb") as file:
        return file.read(LONGEST).decode("utf-8", "replace")


def _file_of(name: str | Path) -> Path | None:
    """The file that a path, a run's folder or a name means; None if there is none."""
    path = Path(name)
    if path.is_file():
        return path
    published = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else []
    # a run's folder holds its newest weights, called like itself, and its best ones
    named_so = [file for file in published if file.stem == real(path).name]
    if len(published) == 1 or named_so:
        return (named_so or published)[0]
    # a folder of pictures with the weights' name (`mine/`) must not hide them
    for folder in folders():
        candidate = folder / f"{name}{SUFFIX}"
        if candidate.is_file() and not published:
            return candidate
    if path.is_dir():
        raise ValueError(f"{path} holds {len(published)} weights files; name one of them")
    return None


def _read(path: Path) -> tuple[Entry | None, str]:
    """A file's entry, or the reason why it has none. An unreadable file must not end the listing."""
    try:
        return entry(path), ""
    except ValueError as error:
        return None, str(error)
    except Exception as error:
        return None, f"{path} cannot be read: {type(error).__name__}: {error}"


def _stated(card: Path | None, key: str) -> str:
    """The text of the line `- key: text` of a card."""
    try:
        text = card_text(card) if card is not None else ""
    except OSError:
        return UNSTATED
    match = re.search(rf"^- {key}:[ \t]*(\S.*?)[ \t]*$", text, re.MULTILINE)
    return match[1] if match else UNSTATED


# adding weights


def add(path: Path, name: str) -> Entry:
    """Copy a weights file into the user's folder under `name`, so that `--weights name` finds it. One with a base becomes whole.

    Raises:
        ValueError: the file is no weights file of this suite, or the name is taken or invalid.
    """
    tensors, whole = load(path)
    target = unused_path(name)
    if "base" in recipe(path):
        save(target, tensors, whole)
    else:
        with atomic_write(target) as draft:
            shutil.copyfile(path, draft)
    if path.with_suffix(".md").is_file():
        shutil.copyfile(path.with_suffix(".md"), target.with_suffix(".md"))
    return entry(target)


def check_name(name: str) -> None:
    """Check that weights can have this name on every system and command line.

    Raises:
        ValueError: they cannot.
    """
    if not name or name[0] in ".-" or len(name) > 100 or not name.isprintable() or set(name) & set('/\\:*?"<>|'):
        raise ValueError(f"{name[:100]!r} cannot be a weights name: use letters, digits, '-' and '_', a letter or digit first")


def user_path(name: str) -> Path | None:
    """Where weights called `name` lie in the user's folder, or would; None where there is no such folder."""
    folder = user_folder()
    return None if folder is None else folder / f"{name}{SUFFIX}"


def unused_path(name: str) -> Path:
    """The path of new weights called `name` in the user's folder.

    Raises:
        ValueError: the name is invalid or taken, or there is no such folder.
    """
    check_name(name)
    if ships(name):
        raise ValueError(f"the name {name!r} is taken by weights that ship; choose another")
    folder = user_folder()
    if folder is None:
        raise ValueError("there is no home to keep weights in: name a folder in the environment, RESTORE_WEIGHTS=FOLDER")
    target = folder / f"{name}{SUFFIX}"
    for path in (target, target.with_suffix(".md")):
        if path.exists():
            raise ValueError(f"the name {name!r} is taken by {path}; choose another or remove that file")
    return target
