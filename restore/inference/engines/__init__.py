"""What runs networks, one file an engine: the table `ENGINES`. An engine is imported when a network is made for it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

from restore import runtime
from restore.exporting import EXPORTERS
from restore.images.packages import Package
from restore.inference.engines.base import Engine
from restore.limits import nearest
from restore.networks.spec import ModelSpec, RestorationNetwork
from restore.runtime import PRECISIONS, Runtime

__all__ = ["ENGINES", "Engine", "EngineRow", "check_network", "choose", "make"]

TORCH = "torch"


@dataclass(frozen=True)
class EngineRow:
    """One row of `ENGINES`.

    Attributes:
        engine: "module:class"; it is built from a network and a runtime.
        needs: the packages that it needs.
        precisions: what it computes in.
        devices: the kinds of devices that it runs on; empty for those of torch.
        exported: whether it runs an exported network, so that tiles cannot share statistics.
    """

    engine: str
    needs: tuple[Package, ...] = ()
    precisions: tuple[str, ...] = tuple(PRECISIONS)
    devices: tuple[str, ...] = ()
    exported: bool = True


ENGINES: Mapping[str, EngineRow] = {
    TORCH: EngineRow("restore.inference.engines.torch:TorchEngine", exported=False),
    "onnx": EngineRow(
        "restore.inference.engines.onnx:OnnxEngine", (Package("onnxruntime", "onnx"), *EXPORTERS), ("fp32",), ("cpu",)
    ),
    "openvino": EngineRow(
        "restore.inference.engines.openvino:OpenVinoEngine", (Package("openvino", "openvino"), *EXPORTERS), ("fp32", "bf16"), ("cpu",)
    ),
}  # fmt: skip


def choose(engine: str = TORCH, device: str = "auto", precision: str = "auto") -> Runtime:
    """Choose the device and the precision in which an engine runs; see `restore.runtime.choose`.

    Raises:
        ValueError: the engine is unknown or a package is missing, or it does not run on the device or in the precision.
    """
    row = _row(engine)
    if missing := next((package.missing for package in row.needs if package.missing), ""):
        raise ValueError(f"the engine {engine} is not installed: {missing}")
    if row.devices and device == "auto":
        device = row.devices[0]
    chosen = runtime.choose(device, precision)
    if row.devices and chosen.device.type not in row.devices:
        raise ValueError(f"the engine {engine} runs on {' and '.join(row.devices)} only, not on {device}: leave --device out")
    if chosen.precision in row.precisions:
        return chosen
    if precision != "auto":
        raise ValueError(f"the engine {engine} computes in {' and '.join(row.precisions)} only, not in {precision}")
    return chosen.in_precision(row.precisions[0])


def check_network(engine: str, spec: ModelSpec, *, trainable: bool) -> None:
    """Check that an engine can run a network in tiles.

    Args:
        engine: a key of ENGINES.
        spec: of the network.
        trainable: whether it is a network of this suite.

    Raises:
        ValueError: it cannot; the text says why.
    """
    if not _row(engine).exported:
        return
    if spec.sees_whole_image:
        raise ValueError(
            f"the engine {engine} cannot run this network: it normalises by the whole picture, whose statistics tiles share in torch only"
        )
    if not trainable:
        raise ValueError(f"the engine {engine} cannot run this network: those of other programs run in torch only")


def make(engine: str, network: RestorationNetwork, chosen: Runtime) -> Engine:
    """The engine of a network.

    Raises:
        ValueError: the engine is unknown, or cannot run the network.
    """
    check_network(engine, network.spec, trainable=network.trainable)
    module, _, name = _row(engine).engine.partition(":")
    made: Engine = importlib.import_module(module).__dict__[name](network, chosen)
    return made


def _row(engine: str) -> EngineRow:
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}: use one of {', '.join(ENGINES)}{nearest(engine, ENGINES)}")
    return ENGINES[engine]
