"""Seconds per megapixel of each engine on the same network and picture, side by side in one process, and how far their pictures differ.

    python benchmarks/engines.py PICTURE [--weights denoise-gray denoise-color upscale-x4 inpaint] [--side 512] [--repeat 5] [--threads 1]

Each is the minimum over alternating repetitions, on one tile, without decoding. In brackets: how many times as fast as what `restore` runs
by default, torch in this machine's precision (bf16 with fused residual blocks, or fp32).
`--clock cpu` counts the processor's seconds instead of those of the wall, for a machine that others use too; take one thread then.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import restore
from restore import images
from restore.images.noise_model import NoiseLevel
from restore.images.quantisation import Quantisation
from restore.inference import engines
from restore.inference.normalizing_runner import NormalizingRunner

CONTENDERS = {
    "torch fp32": ("torch", "fp32"), "torch bf16": ("torch", "bf16"), "onnx fp32": ("onnx", "fp32"),
    "openvino fp32": ("openvino", "fp32"), "openvino bf16": ("openvino", "bf16"),
}  # fmt: skip
"""Column -> engine and precision."""
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
SIGMA = 25.0


def _picture(path: Path, side: int, channels: int) -> np.ndarray:
    """The middle of a picture, (side, side, channels) float32; a smaller one is mirrored."""
    pixels = images.read(path).frame(0).normalized()
    missing = [max(0, side - length) for length in pixels.shape[:2]]
    pixels = np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    crop = pixels[top : top + side, left : left + side]
    if channels == 1:
        return np.ascontiguousarray(crop.mean(axis=2, keepdims=True))
    return np.ascontiguousarray(np.broadcast_to(crop, (side, side, 3)))


def _work(name: str, engine: str, precision: str, path: Path, side: int) -> Callable[[], np.ndarray]:
    """What restores the picture once: with noise, a hole or the traces of a JPEG where the network takes such a condition."""
    runner: NormalizingRunner = restore.load(name, engine=engine, precision=precision, device="cpu", tile=0).runner
    picture, spec = _picture(path, side, runner.spec.channels), runner.spec
    if spec.takes_noise:
        noisy = picture + np.random.default_rng(0).normal(0, SIGMA / 255, picture.shape).astype(np.float32)
        return lambda: runner.run(noisy, level=NoiseLevel.gaussian(SIGMA))[0]
    if spec.takes_mask:
        hole = np.zeros((side, side), bool)
        hole[side // 3 : side // 2, side // 3 : side // 2] = True
        return lambda: runner.run(picture, mask=hole)[0]
    condition = Quantisation.of_quality(20).condition if "quantisation" in spec.conditions else None
    return lambda: runner.run(picture, condition=condition)[0]


def _psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return float("inf") if error == 0 else -10 * np.log10(error)


def _row(name: str, path: Path, side: int, repeat: int, clock: Callable[[], float]) -> None:
    contenders = {label: _work(name, *row, path, side) for label, row in CONTENDERS.items()}
    pictures = {label: work() for label, work in contenders.items()}  # the first run also compiles
    seconds = dict.fromkeys(contenders, float("inf"))
    for _ in range(repeat):
        for label, work in contenders.items():
            start = clock()
            work()
            seconds[label] = min(seconds[label], clock() - start)
    pixels, ours = side * side / 1e6, seconds[f"torch {engines.choose(device='cpu').precision}"]
    cells = [f"{seconds[label] / pixels:.2f} ({ours / seconds[label]:.2f})" for label in contenders]
    differences = [f"{_psnr(pictures[label], pictures['torch fp32']):.1f}" for label in list(contenders)[1:]]
    print(f"| {name} | " + " | ".join(cells) + " | " + " / ".join(differences) + " |", flush=True)


def main() -> None:
    """Print a table: seconds per input megapixel, in brackets how many times as fast as the default, and the PSNR to torch in float32."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--weights", nargs="+", default=["denoise-gray", "denoise-color", "upscale-x4", "inpaint"])
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    print(f"precision of this machine: {engines.choose(device='cpu').precision}; {chosen.threads} thread(s), {chosen.clock} seconds")
    print("| weights | " + " | ".join(CONTENDERS) + " | PSNR to torch fp32, dB, of the other four |")
    print("|" + "---|" * (len(CONTENDERS) + 2))
    for name in chosen.weights:
        _row(name, chosen.picture, chosen.side, chosen.repeat, CLOCKS[chosen.clock])


if __name__ == "__main__":
    main()
