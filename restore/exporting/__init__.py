"""Exports networks to files of other programs, and checks that they compute the same.

`export.export` writes a file, `formats` has one file a format, `graphs` says what goes in and out, and `cached_model` serves engines.
"""

from __future__ import annotations

from restore.images.packages import Package

EXPORTERS = (Package("onnx", "onnx"), Package("onnxscript", "onnx"))
"""What makes an ONNX model of a network."""
