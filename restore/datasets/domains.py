"""Two domains of pictures, paired or not: which layouts a DATASET may have, and its seeded training crops.

Unpaired: `source/ target/` or `trainA/ trainB/`. Paired: `source/ target/`, `damaged/ clean/`, `labels/ photo/` or `A/ B/` with
equal names, or one folder of pictures that hold both side by side (A|B). Each may lie under `train/` and one of `folders.HELD_OUT`
(`val/`, `test/` ...; also `valA/ valB/`). Unpaired pictures that lie otherwise are found by patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from restore.datasets.crops import Pictures, to_float
from restore.datasets.folders import HELD_OUT, pictures, split
from restore.images import discovery, read

SIDES = (("source", "target"), ("damaged", "clean"), ("labels", "photo"), ("A", "B"))
LAYOUT = (
    "source/ and target/ (or damaged/ and clean/, labels/ and photo/, A/ and B/, trainA/ and trainB/), each perhaps "
    "under train/ and val/ or test/"
)


@dataclass(frozen=True)
class Domains:
    """The pictures of two domains.

    Attributes:
        train: source and target, to learn from; of one length and order where paired.
        test: the same, kept for previews and measures; may be empty.
        joined: each file holds source | target side by side, and both lists are the same files.
    """

    train: tuple[list[Path], list[Path]]
    test: tuple[list[Path], list[Path]]
    joined: bool = False


def find(
    root: Path, *, paired: bool, share: float = 0.05, seed: int = 0, include: tuple[Sequence[str], Sequence[str]] = ((), ())
) -> Domains:
    """Find the two domains under `root`.

    Args:
        root: the dataset's folder.
        paired: whether pictures of the same name belong together.
        share: share of the pictures that is kept for tests where there are no test folders.
        seed: of that draw.
        include: glob patterns of the source's and of the target's pictures, relative to `root`, instead of a layout; not for pairs.

    Raises:
        ValueError: no known layout (what was found and what was expected is told), a domain without a picture, in a paired layout names
            without a partner, or patterns for one domain only, for pairs, or that match nothing.
    """
    if any(include):
        if paired or not all(include):
            raise ValueError("data.source and data.target are patterns of two heaps without pairs: give both, or none")
        heaps = [split(pictures(root, patterns), root, share=share, seed=seed) for patterns in include]
        return Domains((heaps[0][0], heaps[1][0]), (heaps[0][1], heaps[1][1]))
    train = _folders(root, "train")
    test = next((there for part in HELD_OUT if (there := _folders(root, part))), None)
    if train is None:
        return _joined(root, share, seed) if paired else _explain(root)
    found = _sides(train, paired)
    if test is not None:
        return Domains(found, _sides(test, paired))
    if paired:
        kept, held = split(found[0], train[0], share=share, seed=seed)
        partner = dict(zip(found[0], found[1], strict=True))
        return Domains((kept, [partner[path] for path in kept]), (held, [partner[path] for path in held]))
    parts = [split(files, folder, share=share, seed=seed) for files, folder in zip(found, train, strict=True)]
    return Domains((parts[0][0], parts[1][0]), (parts[0][1], parts[1][1]))


def _folders(root: Path, part: str) -> tuple[Path, Path] | None:
    """The two folders of one part (train or one that is held out), or None. For train the bare layout counts too."""
    places = [root / part, *([root] if part == "train" else [])]
    for place in places:
        for first, second in SIDES:
            if (place / first).is_dir() and (place / second).is_dir():
                return place / first, place / second
    if (root / f"{part}A").is_dir() and (root / f"{part}B").is_dir():
        return root / f"{part}A", root / f"{part}B"
    for place in places:
        for pair in (*SIDES, *([(f"{part}A", f"{part}B")] if place == root else [])):
            there = [name for name in pair if (place / name).is_dir()]
            if there and part == "train":
                other = next(name for name in pair if name not in there)
                raise ValueError(f"{place} holds {there[0]}/ but no {other}/: both domains are needed")
    return None


def _sides(folders: tuple[Path, Path], paired: bool) -> tuple[list[Path], list[Path]]:
    first, second = (pictures(folder) for folder in folders)
    if not paired:
        return first, second
    keys = [
        {path.relative_to(folder).with_name(discovery.stem(path.name)): path for path in files}
        for folder, files in zip(folders, (first, second), strict=True)
    ]
    lonely = sorted(str(name) for name in keys[0].keys() ^ keys[1].keys())
    if lonely:
        more = f" and {len(lonely) - 3} more" if len(lonely) > 3 else ""
        raise ValueError(
            f"{folders[0].parent}: {', '.join(lonely[:3])}{more} have no partner of the same name in "
            f"{folders[0].name}/ and {folders[1].name}/"
        )
    names = sorted(keys[0])
    return [keys[0][name] for name in names], [keys[1][name] for name in names]


def _joined(root: Path, share: float, seed: int) -> Domains:
    """Pictures twice as wide as high: source on the left, target on the right."""
    try:
        files = pictures(root)
    except ValueError:
        return _explain(root)
    height, width = _first_size(files)
    if width != 2 * height:
        return _explain(root)
    train, test = split(files, root, share=share, seed=seed)
    return Domains((train, train), (test, test), joined=True)


def _first_size(files: Sequence[Path]) -> tuple[int, int]:
    """Height and width of the first picture that can be read; the others are reported when their turn comes.

    Raises:
        ValueError: none can.
    """
    reason: Exception | None = None
    for path in files:
        try:
            shape = read(path).frame(0).normalized().shape
            return shape[0], shape[1]
        except Exception as error:  # whatever a damaged file may raise is that file's fault
            reason = error
    raise ValueError(f"none of the {len(files)} pictures can be read; the last said: {reason}") from reason


def _explain(root: Path) -> Domains:
    there = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in root.iterdir() if not entry.name.startswith("."))
    shown = ", ".join(there[:6]) + (f" and {len(there) - 6} more" if len(there) > 6 else "") if there else "nothing"
    raise ValueError(f"{root} holds {shown}; expected {LAYOUT}")


class DomainCrops(Dataset[dict[str, Tensor]]):
    """Crops of both domains; an item is a function of (seed, index) alone.

    Each item is {"source": (C, S, S), "target": (C, S, S)}, float32, nominal [0, 1].

    Args:
        source, target: the files.
        paired: take the same place and the same turn of both, else draw apart.
        joined: each file holds both side by side.
        crop: side S in pixels.
        channels: 1 or 3.
        sides: range of the shorter side that a picture is brought to first; (0, 0) leaves it. What is smaller than the crop is
            mirrored outwards.
        flip: mirror half of the crops left to right.
        seed: of everything random.
        length: number of items.
        heaps: the same files as another's `heaps`, so that what it has read and refused is known.
    """

    def __init__(
        self, source: Sequence[Path], target: Sequence[Path], *, paired: bool, crop: int, channels: int = 3,
        joined: bool = False, sides: tuple[int, int] = (0, 0), flip: bool = True, seed: int = 0, length: int = 1,
        heaps: tuple[Pictures, Pictures] | None = None,
    ) -> None:  # fmt: skip
        self.heaps = heaps or (Pictures(source, channels), Pictures(target, channels))
        self.paired, self.joined, self.crop, self.sides, self.flip = paired, joined, crop, sides, flip
        self.seed, self.length = seed, length

    def __len__(self) -> int:
        return self.length

    @property
    def bad(self) -> dict[Path, str]:
        """The pictures that could not be read so far, each with its reason."""
        return self.heaps[0].bad | self.heaps[1].bad

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if self.paired:
            first, second = self._pair(np.random.default_rng([self.seed, index]))
            crops = [self._crop(picture, np.random.default_rng([self.seed, index, 9])) for picture in (first, second)]
        else:
            crops = []
            for number, heap in enumerate(self.heaps):
                rng = np.random.default_rng([self.seed, index, number])
                crops.append(self._crop(heap.draw(rng), rng))
        return dict(zip(("source", "target"), map(_tensor, crops), strict=True))

    def _pair(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Both pictures of a pair; one that cannot be read takes its partner along."""
        if self.joined:
            both = self.heaps[0].draw(rng)
            middle = both.shape[1] // 2
            return both[:, :middle], both[:, middle : 2 * middle]
        for _ in range(100 + len(self.heaps[0].files)):
            number = int(rng.integers(len(self.heaps[0].files)))
            first, second = (heap.get(number) for heap in self.heaps)
            if first is None or second is None:
                continue
            if first.shape[:2] != second.shape[:2]:
                paths = [heap.files[number] for heap in self.heaps]
                self.heaps[0].refuse(number, f"{paths[0]} and {paths[1]} differ in size: {first.shape[:2]} and {second.shape[:2]}")
                continue
            return first, second
        raise ValueError(f"none of the {len(self.heaps[0].files)} pairs can be used; the last said: {[*self.bad.values()][-1]}")

    def _crop(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One crop, (S, S, C) float32 in [0, 1]."""
        low, high = self.sides
        if high:
            side = int(rng.integers(low, high + 1))
            scale = side / min(picture.shape[:2])
            size = (max(side, round(picture.shape[1] * scale)), max(side, round(picture.shape[0] * scale)))
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            picture = cv2.resize(picture, size, interpolation=how).reshape(size[1], size[0], -1)
        shortage = [max(0, self.crop - length) for length in picture.shape[:2]]
        if any(shortage):
            picture = np.pad(picture, ((0, shortage[0]), (0, shortage[1]), (0, 0)), mode="symmetric")
        top, left = (int(rng.integers(length - self.crop + 1)) for length in picture.shape[:2])
        piece = to_float(picture[top : top + self.crop, left : left + self.crop])
        return piece[:, ::-1] if self.flip and rng.random() < 0.5 else piece


def _tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32))
