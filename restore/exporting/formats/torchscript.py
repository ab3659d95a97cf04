"""TorchScript: one file that libtorch runs without Python, metadata in its extra file `restore.json`.

PyTorch has deprecated it in favour of `torch.export`, and still reads and writes it.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from restore.exporting.checking import Run, sample
from restore.exporting.graphs import Graph
from restore.images.packages import Package

FACTS = "restore.json"


class TorchScript:
    """The format of libtorch."""

    name = "torchscript"
    suffixes: tuple[str, ...] = (".pt",)
    needs: tuple[Package, ...] = ()

    def write(self, graph: Graph, path: Path) -> None:
        """See `ExportFormat.write`."""
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of its deprecation, and of values that the trace takes for constants: the check finds those
            try:
                traced = torch.jit.trace(graph.module, sample(graph), check_trace=False)
            except RuntimeError as error:
                raise ValueError(f"torch.jit cannot trace this network: {str(error).strip().splitlines()[0][:300]}") from error
            torch.jit.save(traced, str(path), _extra_files={FACTS: json.dumps(graph.metadata())})

    def runner(self, path: Path) -> Run:
        """See `ExportFormat.runner`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its deprecation
            traced = torch.jit.load(str(path), map_location="cpu")

        def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
            with torch.no_grad():
                results = traced(*map(torch.from_numpy, inputs))
            return [result.numpy() for result in (results if isinstance(results, tuple) else (results,))]

        return run
