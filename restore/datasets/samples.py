"""What a generator learns from: whole pictures of one size with their labels, and the noise that is drawn for each of them.

An item is a function of (seed, index) alone, noise included. Several processes therefore draw together what one would draw.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from restore.datasets.crops import Pictures, to_float, to_tensor
from restore.datasets.folders import HELD_OUT
from restore.limits import format_value, is_folder_name

NONE, FOLDERS = "none", "folders"
"""Values of `data.labels` that are no file."""
MOST_CLASSES = 1000
COLUMNS = ("path", "label")
"""Names of the columns that are read."""
ROW_FORMAT = "its rows are a path below the data set with slashes, a comma and the label; add it"
"""What helps where a file's row is missing."""


@dataclass(frozen=True)
class Labels:
    """The labels of a dataset's files.

    Attributes:
        names: of the classes, sorted; empty without labels.
        of: the class of each file.
    """

    names: tuple[str, ...] = ()
    of: dict[Path, int] | None = None

    def numbers(self, files: Sequence[Path], generated: Sequence[int] = ()) -> list[int] | None:
        """The class of each of some files, and of the generated pictures after them; None without labels."""
        return None if self.of is None else [*(self.of[path] for path in files), *generated]


def find_labels(files: Sequence[Path], root: Path, how: str) -> Labels:
    """Find the label of each file.

    Args:
        files: all of the dataset, training and held-out ones.
        root: the dataset's folder.
        how: "none"; "folders", where the class is the first folder below the root or its `train/`, `test/` ...; or a CSV file below the
            root, whose first row names the columns path and label among others, or whose rows are the file's path below the root and
            its label.

    Raises:
        ValueError: a file without a label, fewer than two classes or too many, or a CSV file that cannot be read.
    """
    if how == NONE:
        return Labels()
    texts = {path: _folder(path, root) for path in files} if how == FOLDERS else _read_csv(root / how, files, root)
    missing = [path for path, text in texts.items() if not text]
    if missing:
        where, mend = ("lies in no folder of a class", "put it into one") if how == FOLDERS else (f"has no label in {how}", ROW_FORMAT)
        raise ValueError(f"{missing[0].relative_to(root)} {where} (and {len(missing) - 1} more): {mend}, or set data.labels=none")
    names = sorted(set(texts.values()))
    if not 2 <= len(names) <= MOST_CLASSES:
        mend = "sort the pictures into folders" if how == FOLDERS else f"give the pictures their labels in {how}"
        raise ValueError(f"{root} holds {len(names)} classes, not 2 to {MOST_CLASSES}: {mend}, or set data.labels=none")
    if unusable := [name for name in names if not is_folder_name(name)]:
        raise ValueError(f"the label {format_value(unusable[0])} in {how} cannot be the name of a folder: rename the class")
    numbers = {name: index for index, name in enumerate(names)}
    return Labels(tuple(names), {path: numbers[text] for path, text in texts.items()})


def with_each_class(train: Sequence[Path], test: Sequence[Path], root: Path, labels: Labels) -> tuple[list[Path], list[Path]]:
    """Training and held-out files, where each class has a training picture: one comes back from the held-out ones that were drawn.

    Raises:
        ValueError: all pictures of a class lie in a held-out folder.
    """
    if labels.of is None:
        return [*train], [*test]
    numbers = labels.of
    missing = set(range(len(labels.names))) - {numbers[path] for path in train}
    back: dict[int, Path] = {}
    for path in test:
        if numbers[path] in missing:
            back.setdefault(numbers[path], path)
    for number in sorted(missing):
        if number not in back or back[number].relative_to(root).parts[0].lower() in HELD_OUT:
            raise ValueError(
                f"{root}: all pictures of the class {labels.names[number]!r} are held out: "
                "put some into train/, or take the class out of the dataset"
            )
    returned = set(back.values())
    return sorted({*train, *returned}, key=lambda path: path.relative_to(root).as_posix()), [path for path in test if path not in returned]


def _folder(path: Path, root: Path) -> str:
    parts = path.relative_to(root).parts[:-1]
    inner = parts[1:] if parts and parts[0].lower() in ("train", *HELD_OUT) else parts
    return inner[0] if inner else ""


def _read_csv(table: Path, files: Sequence[Path], root: Path) -> dict[Path, str]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets begin a table with a mark
            rows = [[cell.strip() for cell in row] for row in csv.reader(file, skipinitialspace=True) if len(row) > 1]
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"data.labels={str(table.name)[:100]!r} is neither none, folders nor a CSV file below {root}: {error}") from error
    labels: dict[str, str] = {}
    for path, label in _columns(rows, table):
        name = PurePosixPath(path).as_posix()
        if labels.setdefault(name, label) != label:
            raise ValueError(f"{table} gives {name} two labels, {format_value(labels[name])} and {format_value(label)}: remove a row")
    return {path: labels.get(path.relative_to(root).as_posix(), "") for path in files}


def _columns(rows: Sequence[Sequence[str]], table: Path) -> list[tuple[str, str]]:
    """Path and label of each row: by the names in the first row, or where it names none the two columns in this order.

    Raises:
        ValueError: there are more columns, and no names.
    """
    names = [cell.lower() for cell in rows[0]] if rows else []
    if set(COLUMNS) <= set(names):
        first, second = (names.index(name) for name in COLUMNS)
        return [(row[first], row[second]) for row in rows[1:] if len(row) > max(first, second)]
    widest = max((index + 1 for row in rows for index, cell in enumerate(row) if cell), default=0)
    if widest > len(COLUMNS):
        raise ValueError(f"{table} has {widest} columns, and its first row does not name path and label: add a first row with their names")
    return [(row[0], row[1]) for row in rows]


@dataclass(frozen=True)
class NoiseShape:
    """The noise that a generator takes, as a dataset draws it.

    Attributes:
        latent: length of the latent vector.
        pixel_noise: values of noise at pixels; 0 for none.
        layers: style vectors of a picture.
        mixing: fraction of the pictures that are made with two styles.
    """

    latent: int
    pixel_noise: int = 0
    layers: int = 1
    mixing: float = 0.0

    def draw(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """The noise of one picture: "latent" (Z), and where they are used "pixel_noise" (N), "mixed" (Z) and "crossover" ()."""
        item = {"latent": self._normal(rng, self.latent)}
        if self.pixel_noise:
            item["pixel_noise"] = self._normal(rng, self.pixel_noise)
        if self.mixing and self.layers > 1:
            mixes = rng.random() < self.mixing
            item["mixed"] = self._normal(rng, self.latent)
            item["crossover"] = torch.tensor(int(rng.integers(1, self.layers)) if mixes else self.layers)
        return item

    @staticmethod
    def _normal(rng: np.random.Generator, count: int) -> Tensor:
        return torch.from_numpy(rng.standard_normal(count, dtype=np.float32))


@dataclass(frozen=True)
class Samples(Dataset[dict[str, Tensor]]):
    """Pictures with noise: {"real": (C, S, S) float32 in nominal [0, 1], "latent": (Z), ...}, and "label" () where there are classes.

    Attributes:
        pictures: reduced so that their shorter side is `side`.
        side: S; the middle square of a picture is taken, and smaller ones are reflected outwards.
        noise: what is drawn in addition.
        labels: the class of each picture; None without.
        flip: flip half of the pictures left to right.
        seed: of everything random.
        length: number of items.
    """

    pictures: Pictures
    side: int
    noise: NoiseShape
    labels: Sequence[int] | None = None
    flip: bool = False
    seed: int = 0
    length: int = 1

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, index])
        number, picture = self.pictures.draw_numbered(rng)
        square = middle(picture, self.side)
        if self.flip and rng.random() < 0.5:
            square = square[:, ::-1]
        item = {"real": to_tensor(to_float(square)), **self.noise.draw(rng)}
        return item if self.labels is None else item | {"label": torch.tensor(self.labels[number])}


def middle(picture: np.ndarray, side: int) -> np.ndarray:
    """(H, W, C) -> its middle square (side, side, C); a smaller picture is reflected outwards on all sides first."""
    shortage = [max(0, side - length) for length in picture.shape[:2]]
    if any(shortage):
        picture = np.pad(picture, [(each // 2, each - each // 2) for each in shortage] + [(0, 0)], mode="symmetric")
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]
