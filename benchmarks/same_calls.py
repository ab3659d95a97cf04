"""What `same_output.py` calls from Python: each function gives arrays by name, which are compared bit by bit.

A function of CALLS speaks the API of the new tree. Where the old tree's differs, OLD_CALLS holds under the same name what speaks that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from same_inputs import integers, smooth

Arrays = dict[str, np.ndarray]
Call = Callable[[Path], Arrays]
"""The folder of inputs -> arrays; it runs in a folder of its own."""
KINDS: Mapping[str, np.ndarray] = {
    "gray8": integers(1, 1), "gray16": integers(1, 2, 16), "gray-alpha8": integers(2, 3), "rgb8": integers(3, 4),
    "rgb16": integers(3, 5, 16), "rgba8": integers(4, 6), "float": smooth(60, 70, 1, 7).astype(np.float32), "float64": smooth(60, 70, 3, 8),
}  # fmt: skip
TINY = {"loop.steps": "4", "loop.batch_size": "2", "data.crop": "32", "precision": "fp32", "device": "cpu"}


def _denoise(name: str) -> Call:
    def call(_: Path) -> Arrays:
        import restore

        network = restore.load(name, device="cpu", precision="fp32")
        results = {kind: network(picture) for kind, picture in KINDS.items()}
        results["level"] = network(KINDS["gray8"], 20.0)
        results["strength"] = network(KINDS["rgb8"], 10.0, 0.4)
        return results

    return call


def _whole(name: str) -> Call:
    """Networks that take a picture alone."""

    def call(_: Path) -> Arrays:
        import restore

        network = restore.load(name, device="cpu", precision="fp32")
        results = {kind: network(picture) for kind, picture in KINDS.items() if kind != "float64"}
        results["strength"] = network(KINDS["rgb8"], strength=0.4)
        return results

    return call


def _holes() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Kind -> a picture and its mask."""
    mask = np.zeros((80, 96), bool)
    mask[20:50, 30:61] = True
    return {kind: (smooth(80, 96, channels, 9).astype(np.float32), mask) for kind, channels in (("gray", 1), ("colour", 3))}


def _inpaint(_: Path) -> Arrays:
    import restore

    runner = restore.load("inpaint", device="cpu", precision="fp32").runner
    assert runner is not None
    return {kind: runner.run(picture, mask=mask)[0] for kind, (picture, mask) in _holes().items()}


def _old_inpaint(_: Path) -> Arrays:
    import restore

    network = restore.load("inpaint", device="cpu", precision="fp32")
    return {kind: network.restore(picture, mask=mask)[0] for kind, (picture, mask) in _holes().items()}  # type: ignore[attr-defined]


def _scratches(_: Path) -> Arrays:
    import restore

    detector = restore.load("scratches", device="cpu", precision="fp32")
    return {kind: detector(picture, 1.0) for kind, picture in KINDS.items() if kind != "float64"}


def _old_scratches(_: Path) -> Arrays:
    import importlib

    import restore

    finder = importlib.import_module("restore.apply.scratches").Finder(restore.load("scratches", device="cpu", precision="fp32"))
    floats = importlib.import_module("restore.apply.arrays").floats
    found = {}
    for kind, picture in KINDS.items():
        pixels = floats(picture if picture.ndim == 3 else picture[:, :, None])
        found[kind] = finder(pixels[:, :, : 1 if pixels.shape[2] < 3 else 3], 1.0)
    return {kind: mask for kind, mask in found.items() if kind != "float64"}


def _not_finite(_: Path) -> Arrays:
    import restore

    picture = KINDS["float"].copy()
    picture[5, 7], picture[20:24, 20:24] = np.inf, np.nan
    return {"out": restore.load("denoise-gray", device="cpu")(picture)}


def _tensors(_: Path) -> Arrays:
    import torch

    import restore

    batch = torch.from_numpy(np.stack([smooth(64, 64, 3, seed).transpose(2, 0, 1) for seed in (1, 2)]).astype(np.float32))
    return {name: restore.load(name, device="cpu", precision="fp32")(batch).numpy() for name in ("denoise-color", "upscale-x2")}


def _tiles(precision: str) -> Call:
    def call(_: Path) -> Arrays:
        import restore

        results = {}
        for name in ("denoise-gray", "denoise-color", "upscale-x2", "facades", "photo2paint"):
            network = restore.load(name, device="cpu", precision=precision, tile=64, batch_size=3)
            results[name] = network(smooth(110, 130, 3, 11).astype(np.float32))
        return results

    return call


def _ensembles(_: Path) -> Arrays:
    import restore

    picture = KINDS["rgb16"]
    return {f"{name}-{count}": restore.load(name, device="cpu", precision="fp32", ensemble=count)(picture)
            for name in ("denoise-color", "upscale-x4") for count in (2, 8)}  # fmt: skip


def _run(folder: Path) -> Arrays:
    """`restore.run`: its files are compared too; here how many pictures were done."""
    import restore

    counts = []
    options = {"noise_level": 12.0, "strength": 0.7}
    for task, given in (
        ("denoise", options),
        ("upscale", {"strength": 0.8}),
        ("inpaint", {"masks": folder / "mask.png"}),
    ):
        source = folder / ("holes" if task == "inpaint" else "few")
        report = restore.run(task, source, Path("out").resolve() / task, options=given, device="cpu", precision="fp32")
        counts.append(report.done)
    return {"done": np.array(counts)}


def _train(folder: Path) -> Arrays:
    """`restore.train`; the run's folder is compared too."""
    import restore

    run = restore.train("denoise", folder / "train", overrides={**TINY, "network.widths": "8,8", "network.blocks": "1,1"}, out="run")
    return {"steps": np.array(run.steps), "used": restore.load("run", device="cpu", precision="fp32")(KINDS["gray8"])}


CALLS: Mapping[str, Call] = {
    "load denoise-gray": _denoise("denoise-gray"),
    "load denoise-color": _denoise("denoise-color"),
    "load denoise-xray": _denoise("denoise-xray"),
    "load upscale-x2": _whole("upscale-x2"),
    "load upscale-x4": _whole("upscale-x4"),
    "load upscale-x4-photo": _whole("upscale-x4-photo"),
    "load photo2paint": _whole("photo2paint"),
    "load facades": _whole("facades"),
    "load scratches": _scratches,
    "load inpaint": _inpaint,
    "load: not finite": _not_finite,
    "load: tensors": _tensors,
    "load: tiles fp32": _tiles("fp32"),
    "load: tiles bf16": _tiles("bf16"),
    "load: ensembles": _ensembles,
    "run": _run,
    "train": _train,
}
OLD_CALLS: Mapping[str, Call] = {"load inpaint": _old_inpaint, "load scratches": _old_scratches}
"""Calls as the old tree takes them, where its API differs."""
