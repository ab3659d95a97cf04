"""ONNX: one file, its weights inside it, metadata in `metadata_props`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from restore.exporting import EXPORTERS
from restore.exporting.checking import Run
from restore.exporting.facts import texts
from restore.exporting.graphs import Graph
from restore.exporting.program import program_of
from restore.images.packages import Package

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 20
LARGEST = 2_000_000_000
"""Bytes of the largest file: protobuf takes no more, and weights in a second file would get lost."""


class Onnx:
    """The format of ONNX Runtime, and of most programs that run networks."""

    name = "onnx"
    suffixes: tuple[str, ...] = (".onnx",)
    needs: tuple[Package, ...] = (*EXPORTERS, Package("onnxruntime", "onnx"))

    def write(self, graph: Graph, path: Path) -> None:
        """See `ExportFormat.write`."""
        path.write_bytes(model_of(graph))

    def runner(self, path: Path) -> Run:
        """See `ExportFormat.runner`."""
        return runner(path.read_bytes())


def model_of(graph: Graph) -> bytes:
    """The model of a graph, with its metadata.

    Raises:
        ValueError: the network has an operator that ONNX lacks, or it is too large for one file.
    """
    program = program_of(graph)
    names = [entry.name for entry in graph.inputs]
    try:
        made = torch.onnx.export(
            program, dynamo=True, input_names=names, output_names=list(graph.outputs), opset_version=OPSET, verbose=False
        )
    except Exception as error:  # torch's own errors have no common base
        cause = str(error.__cause__ or error).strip().splitlines()[0][:300]
        raise ValueError(f"ONNX cannot hold this network: {cause}") from error
    assert made is not None
    model: ModelProto = made.model_proto
    _forget_sources(model)
    model.producer_name = "restore"
    for key, value in texts(graph.metadata()).items():
        model.metadata_props.add(key=key, value=value)
    if model.ByteSize() > LARGEST:
        raise ValueError(f"the network takes {model.ByteSize() / 1e9:.1f} GB, more than the 2 GB of one ONNX file")
    return bytes(model.SerializeToString())


def runner(model: bytes) -> Run:
    """What runs a model with ONNX Runtime on the CPU, with as many threads as torch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        results: list[np.ndarray] = session.run(None, dict(zip(names, inputs, strict=True)))
        return results

    return run


def _forget_sources(model: ModelProto) -> None:
    """Remove the exporter's notes: they hold the paths of this machine."""
    graph = model.graph
    for notes in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer, *model.functions):
        del notes.metadata_props[:]
        notes.doc_string = ""
    for function in model.functions:
        for node in function.node:
            del node.metadata_props[:]
