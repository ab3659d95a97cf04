"""Pictures of a generator that are mixed into the training pictures of another run: `augment_with` and `augment_fraction`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from restore.datasets.crops import Generated, compact, in_channels, shrunk
from restore.inference.generator import BLOCK, Generator
from restore.inference.loading import InferenceOptions
from restore.runtime import Runtime
from restore.training.training_config import TrainingConfig

LARGEST_POOL = 2048
"""Most pictures that are made; they stay in memory."""


def make(
    config: TrainingConfig, runtime: Runtime, *, real: int, channels: int, short_side: int = 0, labels: Sequence[str] = ()
) -> tuple[Generated | None, list[int]]:
    """Make the pictures that a configuration asks for, in float32, once before the run.

    Args:
        config: its `augment_with` names a generator's weights, its seed is that of the first picture.
        runtime: whose device is used.
        real: number of real training pictures; at most so many are made that no generated one is drawn more often than a real one.
        channels, short_side: as the real ones are read; see `Pictures`.
        labels: the classes of the run.

    Returns:
        The pictures, None where none are asked for, and the class of each; no classes for a run without.

    Raises:
        ValueError: no such weights, weights of another task, or a class that the generator does not know.
    """
    fraction = config.augment_fraction
    if not config.augment_with or not fraction:
        return None, []
    try:
        generator = Generator.load(config.augment_with, InferenceOptions(runtime.in_precision("fp32")))
        for label in labels:
            generator.number(label)
    except ValueError as error:
        raise ValueError(f"augment_with={config.augment_with}: {error}") from error
    count = min(LARGEST_POOL, round(real * fraction / max(1 - fraction, 1e-3)) + 1)
    pictures: list[np.ndarray] = []
    numbers: list[int] = []
    for start in range(config.seed, config.seed + count, BLOCK):
        seeds = range(start, min(start + BLOCK, config.seed + count))
        for index, name in enumerate(labels or [None]):
            own = [seed for seed in seeds if seed % max(1, len(labels)) == index]
            if own:
                pictures += [compact(shrunk(in_channels(picture, channels), short_side)) for picture in generator(own, name)]
            numbers += [index] * len(own)
    return Generated(pictures, fraction), numbers if labels else []
