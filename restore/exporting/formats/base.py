"""What an export format is: `ExportFormat`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from restore.exporting.checking import Run
from restore.exporting.graphs import Graph
from restore.images.packages import Package


class ExportFormat(Protocol):
    """Writes a graph to files, and runs them.

    Attributes:
        name: its key in `FORMATS`.
        suffixes: of its files; the last one is the file that the user names.
        needs: the packages that it needs.
    """

    name: str
    suffixes: tuple[str, ...]
    needs: tuple[Package, ...]

    def write(self, graph: Graph, path: Path) -> None:
        """Write a graph with its metadata.

        Args:
            graph: it is not changed.
            path: with the last suffix; further files get the same name.

        Raises:
            ValueError: the network has an operator that the format lacks.
        """

    def runner(self, path: Path) -> Run:
        """What runs a written file in float32."""
