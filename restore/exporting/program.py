"""From a graph to the program that `torch.export` makes of it, for any batch and any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from restore.exporting.checking import sample
from restore.exporting.graphs import BATCH, COLUMNS, HEIGHT, ROWS, WIDTH, Graph

if TYPE_CHECKING:
    from torch.export import Dim, ExportedProgram

LONGEST, MOST = 1 << 16, 1 << 12
"""Longest side in pixels, and most pictures of a batch, that a program is made for."""
SHORTEST = 8
"""Shortest side in pixels."""


def program_of(graph: Graph) -> ExportedProgram:
    """The program of a graph.

    Raises:
        ValueError: `torch.export` cannot trace the network.
    """
    from torch.export import export  # half a second, which a run with torch must not wait for

    axes = _free_axes(graph.multiple)
    shapes = tuple({number: axes[axis] for number, axis in enumerate(entry.shape) if isinstance(axis, str)} for entry in graph.inputs)
    try:
        with torch.no_grad():
            return export(graph.module, sample(graph), dynamic_shapes={"inputs": shapes})
    except Exception as error:  # torch's own errors have no common base
        raise ValueError(f"torch.export cannot trace this network: {str(error).strip().splitlines()[0][:300]}") from error


def _free_axes(multiple: int) -> dict[str, Dim]:
    from torch.export import Dim

    shortest, longest = -(-SHORTEST // multiple), LONGEST // multiple
    rows, columns = (Dim(name, min=shortest, max=longest) for name in (ROWS, COLUMNS))
    height, width = (rows, columns) if multiple == 1 else (multiple * rows, multiple * columns)
    return {BATCH: Dim(BATCH, min=1, max=MOST), ROWS: rows, COLUMNS: columns, HEIGHT: height, WIDTH: width}
