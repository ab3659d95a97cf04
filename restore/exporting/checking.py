"""Compares an exported graph with torch. A file that differs is not written."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from restore.exporting.graphs import BATCH, COLUMNS, HEIGHT, ROWS, WIDTH, Graph, Input

Run = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
"""The inputs of a graph, in its order -> its outputs."""
TOLERANCE = 1e-4
"""Largest difference from torch in float32, as a fraction of the output's range."""
SHORTEST = 32
"""Pixels of the shortest side in the check."""
SHAPES = ((0, 0), (0, 1), (2, 0), (3, 1), (1, 5))
"""Rows and columns that the check adds to the smallest picture, in multiples."""
BATCHES = (1, 2)


def differences(graph: Graph, run: Run, *, quick: bool = False) -> Iterator[tuple[float, str]]:
    """Yield the largest difference, as a fraction of the output's range, and where it is: five sizes, one and two pictures.

    Args:
        graph: the graph that was exported.
        run: runs the exported one.
        quick: one size and one picture only.
    """
    sized = any(HEIGHT in entry.shape for entry in graph.inputs)
    shapes = SHAPES[3:4] if quick else SHAPES if sized else SHAPES[:1]
    for batch in BATCHES[:1] if quick else BATCHES:
        for shape in shapes:
            sides = sides_of(graph.multiple, *shape)
            inputs = [example(entry, batch, sides, graph.multiple) for entry in graph.inputs]
            with torch.no_grad():
                results = graph.module(*map(torch.from_numpy, inputs))
            expected = [result.numpy() for result in (results if isinstance(results, tuple) else (results,))]
            where = (f"{sides[0]} x {sides[1]}, " if sized else "") + f"batch {batch}"
            yield max(_difference(*pair) for pair in zip(run(inputs), expected, strict=True)), where


def check(graph: Graph, run: Run, what: str, *, quick: bool = False) -> float:
    """The largest of all `differences`.

    Raises:
        ValueError: it is above TOLERANCE, or an output has another shape.
    """
    largest = 0.0
    for difference, where in differences(graph, run, quick=quick):
        if not difference <= TOLERANCE:
            raise ValueError(f"{what} differs from torch by {difference:.2g} of the result's range ({where}), more than {TOLERANCE:g}")
        largest = max(largest, difference)
    return largest


def sample(graph: Graph) -> tuple[torch.Tensor, ...]:
    """Inputs to trace a graph with. Lengths of one, in pixels or multiples, would be taken for constants."""
    sides = sides_of(graph.multiple, 1, 2)
    return tuple(torch.from_numpy(example(entry, 2, sides, graph.multiple)) for entry in graph.inputs)


def sides_of(multiple: int, rows: int, columns: int) -> tuple[int, int]:
    """Sides that are multiples, SHORTEST pixels at least, longer by so many multiples (of at least 8 pixels)."""
    least, step = -(-SHORTEST // multiple), -(-8 // multiple)
    # an odd pixel where any number will do
    odd = 1 if multiple == 1 and rows else 0
    return multiple * (least + rows * step + odd), multiple * (least + columns * step)


def example(entry: Input, batch: int, sides: tuple[int, int], multiple: int) -> np.ndarray:
    """Values of an input within its range, the same in every call: smooth ones with noise."""
    lengths = {BATCH: batch, HEIGHT: sides[0], WIDTH: sides[1], ROWS: sides[0] // multiple, COLUMNS: sides[1] // multiple}
    shape = tuple(lengths[axis] if isinstance(axis, str) else axis for axis in entry.shape)
    rng = np.random.default_rng(zlib.crc32(entry.name.encode()))
    if entry.integer:
        return rng.integers(int(entry.low), int(entry.high) + 1, shape)
    values = rng.uniform(entry.low, entry.high, shape)
    if len(shape) == 4:
        rows, columns = np.arange(shape[2])[:, None], np.arange(shape[3])
        smooth = 0.5 + 0.5 * np.sin(rows / 7 + np.cos(columns / 11))
        values = 0.3 * values + 0.7 * (entry.low + (entry.high - entry.low) * smooth)
    return values.astype(np.float32)


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference as a fraction of the range; infinite where the shapes differ.

    A hundredth of the largest value counts as a range: float32 cannot tell much less.
    """
    if found.shape != expected.shape:
        return float("inf")
    span = max(float(np.ptp(expected)), 0.01 * float(np.abs(expected).max()), 1e-6)
    return float(np.abs(found.astype(np.float64) - expected).max() / span)
