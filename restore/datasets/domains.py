"""Two domains of images, paired or not: the layouts that a DATASET may have, and its seeded training crops.

Unpaired: `source/ target/` or `trainA/ trainB/`. Paired: `source/ target/`, `damaged/ clean/`, `labels/ photo/` or `A/ B/` with
equal names, or one folder of images that hold both side by side (A|B). Each may lie under `train/` and one of `folders.HELD_OUT`
(`val/`, `test/` ...; also `valA/ valB/`). Unpaired images in another layout are found by patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from restore.datasets.crops import Pictures, random_crop, to_tensor
from restore.datasets.folders import HELD_OUT, pictures, split
from restore.images import file_kind, read

SIDES = (("source", "target"), ("damaged", "clean"), ("labels", "photo"), ("A", "B"))
LAYOUT = (
    "source/ and target/ (or damaged/ and clean/, labels/ and photo/, A/ and B/, trainA/ and trainB/), each perhaps "
    "under train/ and val/ or test/"
)


@dataclass(frozen=True)
class Domains:
    """The files of two domains.

    Attributes:
        train: source and target, to train on; of one length and order where paired.
        test: the same, kept for previews; may be empty.
        side_by_side: each file holds source | target, and both lists are the same files.
    """

    train: tuple[list[Path], list[Path]]
    test: tuple[list[Path], list[Path]]
    side_by_side: bool = False

    @property
    def held_out(self) -> list[Path]:
        """The test files of both domains."""
        return [*self.test[0], *self.test[1]]


def find(
    root: Path,
    *,
    paired: bool,
    fraction: float = 0.05,
    seed: int = 0,
    include: tuple[Sequence[str], Sequence[str]] = ((), ()),
) -> Domains:
    """Find the two domains under `root`.

    Args:
        root: the dataset's folder.
        paired: whether images of the same name belong together.
        fraction: fraction of the images that is held out where there are no test folders.
        seed: of that draw.
        include: glob patterns of the source's and of the target's images, relative to `root`, instead of a layout; not for pairs.

    Raises:
        ValueError: no known layout (the text says what was found and what was expected), a domain without an image, an image without a
            partner in a paired layout; or patterns for pairs, for one domain only, or that match nothing.
    """
    if any(include):
        if paired or not all(include):
            raise ValueError("data.source and data.target are patterns of two domains without pairs: give both, or none")
        sides = [split(pictures(root, patterns), root, fraction=fraction, seed=seed) for patterns in include]
        return Domains((sides[0][0], sides[1][0]), (sides[0][1], sides[1][1]))
    train = _folders(root, "train")
    test = next((folders for part in HELD_OUT if (folders := _folders(root, part))), None)
    if train is None:
        return _side_by_side(root, fraction, seed) if paired else _unknown_layout(root)
    found = _sides(train, paired)
    if test is not None:
        return Domains(found, _sides(test, paired))
    if paired:
        kept, held = split(found[0], train[0], fraction=fraction, seed=seed)
        partner = dict(zip(found[0], found[1], strict=True))
        return Domains((kept, [partner[path] for path in kept]), (held, [partner[path] for path in held]))
    parts = [split(files, folder, fraction=fraction, seed=seed) for files, folder in zip(found, train, strict=True)]
    return Domains((parts[0][0], parts[1][0]), (parts[0][1], parts[1][1]))


def _folders(root: Path, part: str) -> tuple[Path, Path] | None:
    """Return the two folders of one part (train or a held-out one), or None; for train, the bare layout counts too.

    Raises:
        ValueError: one of the two is missing, or there are several pairs, and all but one would be ignored.
    """
    places = [(root / part, pair) for pair in SIDES]
    places += [(root, pair) for pair in (*(SIDES if part == "train" else ()), (f"{part}A", f"{part}B"))]
    found, alone = [], ""
    for parent, pair in places:
        present = [name for name in pair if (parent / name).is_dir()]
        if len(present) == 2:
            found.append((parent / pair[0], parent / pair[1]))
        elif present:
            other = next(name for name in pair if name not in present)
            alone = alone or f"{parent} holds {present[0]}/ but no {other}/: both domains are needed"
    if alone and not found:
        raise ValueError(alone)
    if len(found) > 1:
        first, second = (" and ".join(str(one.relative_to(root)) for one in pair) for pair in found[:2])
        raise ValueError(f"{root} holds two pairs of domains, {first}, and {second}: keep one of them there")
    return found[0] if found else None


def _sides(folders: tuple[Path, Path], paired: bool) -> tuple[list[Path], list[Path]]:
    first, second = (pictures(folder) for folder in folders)
    if not paired:
        return first, second
    keys = [_by_stem(folder, files) for folder, files in zip(folders, (first, second), strict=True)]
    unpaired = sorted(str(name) for name in keys[0].keys() ^ keys[1].keys())
    if unpaired:
        more = f" and {len(unpaired) - 3} more" if len(unpaired) > 3 else ""
        raise ValueError(
            f"{folders[0].parent}: {', '.join(unpaired[:3])}{more} have no partner of the same name in "
            f"{folders[0].name}/ and {folders[1].name}/"
        )
    names = sorted(keys[0])
    return [keys[0][name] for name in names], [keys[1][name] for name in names]


def _by_stem(folder: Path, files: Sequence[Path]) -> dict[Path, Path]:
    """Files by their path below a folder without the suffix.

    Raises:
        ValueError: two files would be one.
    """
    found: dict[Path, Path] = {}
    for path in files:
        key = path.relative_to(folder).with_name(file_kind.stem(path.name))
        if key in found:
            raise ValueError(f"{found[key]} and {path} have one name, so their partner is not certain: rename or remove one of them")
        found[key] = path
    return found


def _side_by_side(root: Path, fraction: float, seed: int) -> Domains:
    """Find images twice as wide as high: source on the left, target on the right."""
    try:
        files = pictures(root)
    except ValueError:
        return _unknown_layout(root)
    height, width = _first_size(files)
    if width != 2 * height:
        return _unknown_layout(root)
    train, test = split(files, root, fraction=fraction, seed=seed)
    return Domains((train, train), (test, test), side_by_side=True)


def _first_size(files: Sequence[Path]) -> tuple[int, int]:
    """Height and width of the first image that can be read; unreadable ones are reported when they are drawn.

    Raises:
        ValueError: none can be read.
    """
    reason: Exception | None = None
    for path in files:
        try:
            shape = read(path).frame(0).normalized().shape
            return shape[0], shape[1]
        except Exception as error:  # whatever a damaged file raises is that file's fault
            reason = error
    raise ValueError(f"none of the {len(files)} pictures can be read; the last error: {reason}") from reason


def _unknown_layout(root: Path) -> Domains:
    entries = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in root.iterdir() if not entry.name.startswith("."))
    contents = ", ".join(entries[:6]) + (f" and {len(entries) - 6} more" if len(entries) > 6 else "") if entries else "nothing"
    raise ValueError(f"{root} holds {contents}; expected {LAYOUT}")


@dataclass(frozen=True)
class CropConfig:
    """How a crop is cut from an image.

    Attributes:
        size: side S of the crop in pixels; a smaller image is reflected outwards.
        sides: range of the shorter side that an image is resized to first; (0, 0) leaves it.
        flip: flip half of the crops left to right.
    """

    size: int
    sides: tuple[int, int] = (0, 0)
    flip: bool = True

    def cut(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Cut one crop, (S, S, C) float32 in [0, 1]."""
        low, high = self.sides
        if high:
            side = int(rng.integers(low, high + 1))
            scale = side / min(picture.shape[:2])
            size = (max(side, round(picture.shape[1] * scale)), max(side, round(picture.shape[0] * scale)))
            interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            picture = cv2.resize(picture, size, interpolation=interpolation).reshape(size[1], size[0], -1)
        piece = random_crop(picture, self.size, rng)
        return piece[:, ::-1] if self.flip and rng.random() < 0.5 else piece


@dataclass(frozen=True)
class DomainCrops(Dataset[dict[str, Tensor]]):
    """Seeded crops of two domains; an item is a function of (seed, index) alone.

    Each item is {"input": (C, S, S), "target": (C, S, S)}, float32, nominal [0, 1]: a crop of the source and one of the target.

    Attributes:
        source, target: the images of both domains. For pairs they have the same order; one object for both stands for files that hold
            both images side by side.
        crop: how a crop is cut.
        seed: of everything random.
        length: number of items.
    """

    source: Pictures
    target: Pictures
    crop: CropConfig
    seed: int = 0
    length: int = 1

    def __len__(self) -> int:
        return self.length

    @property
    def skipped(self) -> dict[Path, str]:
        """The images that could not be used so far, each with its reason."""
        return self.source.skipped | self.target.skipped


class UnpairedCrops(DomainCrops):
    """Independent crops of both domains."""

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        item = {}
        for number, (name, domain) in enumerate((("input", self.source), ("target", self.target))):
            rng = np.random.default_rng([self.seed, index, number])
            item[name] = to_tensor(self.crop.cut(domain.draw(rng), rng))
        return item


class PairedCrops(DomainCrops):
    """The same crop of both images of a pair."""

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        pair = self._draw(np.random.default_rng([self.seed, index]))
        crops = [self.crop.cut(picture, np.random.default_rng([self.seed, index, 9])) for picture in pair]
        return {"input": to_tensor(crops[0]), "target": to_tensor(crops[1])}

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw a pair.

        Raises:
            ValueError: none can be used.
        """
        count = len(self.source.files)
        for _ in range(100 + count):
            pair = self._pair(int(rng.integers(count)))
            if pair is not None:
                return pair
        raise ValueError(f"none of the {count} pairs can be used; the last error: {[*self.skipped.values()][-1]}")

    def _pair(self, index: int) -> tuple[np.ndarray, np.ndarray] | None:
        """The pair at an index; None where it cannot be used: an unreadable image excludes its partner."""
        first = self.source.get(index)
        if first is None:
            return None
        if self.source is self.target:
            height, width = first.shape[:2]
            if width == 2 * height:
                return first[:, :height], first[:, height:]
            why = f"its {width} x {height} pixels are not twice as wide as high, as those of the first image are"
            self.source.skip(index, f"{self.source.files[index]} is no pair side by side: {why}")
            return None
        second = self.target.get(index)
        if second is None:
            return None
        if first.shape[:2] == second.shape[:2]:
            return first, second
        paths = self.source.files[index], self.target.files[index]
        self.source.skip(index, f"{paths[0]} and {paths[1]} differ in size: {first.shape[:2]} and {second.shape[:2]}")
        return None
