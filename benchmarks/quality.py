"""What `--quality` gains and costs: every quality of `restore denoise` and `restore upscale` on the same pictures, in one run.

    python benchmarks/quality.py DATASETS [--sets set12,bsd68,xray,set14,bsd100] [--limit N] [--side 0] [--eight-bit] [--precision auto]

DATASETS is the folder with test/, photos/ and xray/. Protocols: set12 and bsd68 white noise of sigma 25, xray 50 counts and readout 2, as
in `benchmarks/denoise.py`; float pictures whose level is given (white noise) or estimated (--eight-bit, and X-rays). set5, set14 and
bsd100 as in `benchmarks/upscale.py`. For each quality: mean PSNR, mean and worst gain over the default, and seconds a megapixel of the
result. The last lines of a denoising set time DnCNN's seventeen layers in float32 on the same pictures.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import denoise
import numpy as np
import torch
import upscale
from torch import nn

from restore.api import step
from restore.datasets.degrade import to_8_bits
from restore.inference.loading import InferenceOptions
from restore.metrics import psnr
from restore.pipeline.step import Image, ImageInfo
from restore.runtime import choose
from restore.tasks.options import QUALITIES

DENOISING = {
    "set12": ("gray", "set12 sigma 25", "float"),
    "bsd68": ("gray", "bsd68 sigma 25", "float"),
    "xray": ("xray", "xray 50 counts", "xray"),
}
Case = tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], float]]
"""An input, the expected picture, and the score of a result."""


def denoising(name: str, options: argparse.Namespace) -> Iterator[Case]:
    """Noisy and clean pictures of a set."""
    suite, case, protocol = DENOISING[name]
    protocol = "8-bit" if options.eight_bit and protocol == "float" else protocol
    for found, kind, clean, noisy, _ in denoise.SUITES[suite](options.datasets, options.limit):
        if found == case and kind == protocol:
            rows, columns = (
                slice(max(0, (n - options.side) // 2), (n + options.side) // 2) if options.side else slice(None) for n in clean.shape[:2]
            )
            expected = np.ascontiguousarray(clean[rows, columns])
            made = np.ascontiguousarray(to_8_bits(noisy[rows, columns]) if options.eight_bit else noisy[rows, columns])
            yield made, expected, lambda result, expected=expected: psnr(to_8_bits(result) if options.eight_bit else result, expected)


def upscaling(name: str, options: argparse.Namespace) -> Iterator[Case]:
    """Small and whole pictures of a set."""
    scale = options.scale
    for picture in upscale.pictures(options.datasets, name, scale, options.limit):
        small = to_8_bits(upscale.on_planes(upscale.shrink, picture, scale))
        expected = upscale.luma(picture)
        yield small, picture, lambda result, expected=expected: upscale.score(upscale.luma(to_8_bits(result)), expected, scale)[0]


def dncnn() -> nn.Module:
    """The layers of DnCNN (Zhang et al. 2017) for gray pictures, untrained: only its time is measured."""
    layers: list[nn.Module] = [nn.Conv2d(1, 64, 3, padding=1), nn.ReLU()]
    for _ in range(15):
        layers += [nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(64, 1, 3, padding=1)).eval()


def measure(name: str, options: argparse.Namespace) -> None:
    """Print the rows of one set."""
    inference = InferenceOptions(choose("auto", options.precision))
    denoises = name in DENOISING
    settings = {"noise_level": 25.0} if name in {"set12", "bsd68"} and not options.eight_bit else {}
    weights = {"xray": "denoise-xray"}.get(name, "denoise-gray") if denoises else None
    task, values = ("denoise", settings) if denoises else ("upscale", {"scale": options.scale})
    steps = {quality: step(task, weights=weights, options={**values, "quality": quality}, inference=inference) for quality in QUALITIES}
    scores: dict[str, list[float]] = defaultdict(list)
    seconds: dict[str, list[float]] = defaultdict(list)
    reference = dncnn()
    for noisy, expected, score in denoising(name, options) if denoises else upscaling(name, options):
        megapixels = expected[:, :, 0].size / 1e6
        for quality, run in steps.items():
            since = time.perf_counter()
            result = run(Image(noisy, info=ImageInfo(radiograph=name == "xray"))).pixels
            seconds[quality].append((time.perf_counter() - since) / megapixels)
            scores[quality].append(score(result))
        if denoises:
            since = time.perf_counter()
            with torch.inference_mode():
                reference(torch.from_numpy(noisy.transpose(2, 0, 1)[None]))
            seconds["dncnn float32"].append((time.perf_counter() - since) / megapixels)
    for quality in QUALITIES:
        gain = np.array(scores[quality]) - np.array(scores["default"])
        text = f"{np.mean(scores[quality]):6.2f} dB  gain {gain.mean():+.3f}, worst {gain.min():+.3f}, best {gain.max():+.3f}"
        print(f"{name:8} {quality:8} {text}  {np.median(seconds[quality]):7.2f} s/megapixel  n={len(gain)}", flush=True)
    for other in set(seconds) - set(QUALITIES):
        print(f"{name:8} {other:8} {np.median(seconds[other]):7.2f} s/megapixel")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--sets", default="set12,bsd68,xray,set14,bsd100")
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--side", type=int, default=0, help="only the middle square of this side; 0: whole pictures")
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--eight-bit", action="store_true", help="noisy pictures and results of 8 bits, the level estimated")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    for name in options.sets.split(","):
        measure(name, options)


if __name__ == "__main__":
    main()
