"""The formats that a network can be exported to, one file each: the table `FORMATS`."""

from __future__ import annotations

from collections.abc import Mapping

from restore.exporting.formats.base import ExportFormat
from restore.exporting.formats.onnx import Onnx
from restore.exporting.formats.openvino import OpenVino
from restore.exporting.formats.torchscript import TorchScript

__all__ = ["FORMATS", "ExportFormat"]

FORMATS: Mapping[str, ExportFormat] = {"onnx": Onnx(), "openvino": OpenVino(), "torchscript": TorchScript()}
