"""Folders as sets of pictures: their features, their class folders, and a classifier trained on these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from restore.images import read
from restore.images.errors import SALVAGE
from restore.metrics.classifier import Classifier, ClassifierConfig, resized, train
from restore.metrics.comparison import Problem, pictures_in, without_maps
from restore.metrics.extractors import Extractor, Features, NoPictures, of_classifier
from restore.writing import is_environment_error, reason

SMALL, LARGE = 28, 64
"""Pixels to which the classifier resizes: SMALL if a training picture is smaller than LARGE."""


@dataclass(frozen=True)
class PictureSet:
    """The features of all frames of the pictures under a folder.

    Attributes:
        folder: where they lie.
        names: (N) of each frame, its file's path below the folder.
        features: of the N frames.
    """

    folder: Path
    names: tuple[Path, ...]
    features: Features

    def labels(self, classes: Sequence[str]) -> np.ndarray:
        """(N,) index of each picture's class, the name of the folder that holds it; -1 where that is no class."""
        index = {name: number for number, name in enumerate(classes)}
        return np.array([index.get(name.parent.name, -1) for name in self.names])


def load(folder: Path, extractor: Extractor, problems: list[Problem]) -> PictureSet:
    """The set of a folder. Files that cannot be read are added to `problems`.

    Raises:
        ValueError: no picture of the folder can be read.
    """
    names: list[Path] = []

    def pictures() -> Iterator[np.ndarray]:
        for name, frame in frames(folder, problems):
            names.append(name)
            yield frame

    try:
        features = extractor.extract(pictures())
    except NoPictures as error:
        raise ValueError(f"{folder} contains no picture that can be read") from error
    return PictureSet(folder, tuple(names), features)


def frames(folder: Path, problems: list[Problem]) -> Iterator[tuple[Path, np.ndarray]]:
    """Each frame (H, W, C) under a folder in nominal [0, 1], with its file's path below the folder."""
    for name in without_maps(pictures_in(folder)):
        try:
            picture = read(folder / name)
            found = [picture.frame(index).normalized() for index in range(picture.frames)]
        except Exception as error:
            if is_environment_error(error):
                raise
            problems.append(Problem(name.as_posix(), reason(error).replace(SALVAGE, "")))
            continue
        yield from ((name, frame) for frame in found)


def classifier_of(folder: Path) -> Classifier:
    """Train a classifier on the class folders of a folder: the folders that hold its pictures, at any depth.

    Raises:
        ValueError: there are fewer than two of them with pictures that can be read.
    """
    problems: list[Problem] = []  # they are reported when the folder's features are taken
    names, pictures, side, channels = _reduced(folder, problems)
    classes = sorted({name.parent.name for name in names if len(name.parts) > 1})
    index = {name: number for number, name in enumerate(classes)}
    classed = [number for number, name in enumerate(names) if name.parent.name in index]
    labels = torch.tensor([index[names[number].parent.name] for number in classed], dtype=torch.long)
    chosen = [pictures[number] for number in classed]
    return train(resized(chosen, side, channels) if chosen else torch.zeros(0), labels, classes, ClassifierConfig(side=side))


def extractor_of(folder: Path) -> Extractor:
    """The extractor of a classifier that is trained on a folder; see `classifier_of`."""
    return of_classifier(classifier_of(folder), f"the class folders of {folder.name}")


def _reduced(folder: Path, problems: list[Problem]) -> tuple[list[Path], list[np.ndarray], int, int]:
    """The names and the pictures of a folder, these at no more than LARGE pixels, the classifier's side and its channels."""
    names, pictures, smallest, channels = [], [], LARGE, 1
    for name, frame in frames(folder, problems):
        names.append(name)
        smallest, channels = min(smallest, *frame.shape[:2]), max(channels, frame.shape[2])
        pictures.append(frame if max(frame.shape[:2]) <= LARGE else _shrunk(frame))
    return names, pictures, LARGE if smallest >= LARGE else SMALL, channels


def _shrunk(frame: np.ndarray) -> np.ndarray:
    small: Tensor = resized([frame], LARGE, frame.shape[2])[0]
    return small.permute(1, 2, 0).numpy()
