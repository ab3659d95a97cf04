"""OpenVINO: NAME.xml with the graph and its metadata, and NAME.bin with the weights, made from the ONNX model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from restore.exporting import EXPORTERS
from restore.exporting.checking import Run
from restore.exporting.facts import PREFIX, texts
from restore.exporting.formats.onnx import model_of
from restore.exporting.graphs import Graph
from restore.exporting.openvino_core import core
from restore.images.packages import Package

PACKAGE = Package("openvino", "openvino")
SINGLE_PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}


class OpenVino:
    """The format of OpenVINO, whose CPUs compute bfloat16."""

    name = "openvino"
    suffixes: tuple[str, ...] = (".bin", ".xml")
    needs: tuple[Package, ...] = (PACKAGE, *EXPORTERS)

    def write(self, graph: Graph, path: Path) -> None:
        """See `ExportFormat.write`."""
        import openvino

        model = core().read_model(model_of(graph))
        for key, value in texts(graph.metadata()).items():
            model.set_rt_info(value, [PREFIX.rstrip("."), key.removeprefix(PREFIX)])
        openvino.save_model(model, path, compress_to_fp16=False)

    def runner(self, path: Path) -> Run:
        """See `ExportFormat.runner`."""
        settings = {**SINGLE_PRECISION, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        compiled = core().compile_model(core().read_model(path), "CPU", settings)

        def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
            results = compiled.infer_new_request(dict(enumerate(inputs)))
            return [np.array(results[number]) for number in range(len(results))]

        return run
