"""Train and calibrate the confidence heads of the faithful upscalers (less than 20 minutes of one CPU core a head):

    python benchmarks/train_upscaling_confidence.py DATASETS [--out FILE] [--steps N] [--heads NAMES]

DATASETS is the folder with photos/. As in `train_confidence.py`: crops are downscaled by the antialiased cubic kernel, rounded to 8 bits
and upscaled by the frozen network; a head learns the error; conformal risk control chooses a factor for each band of detail on pictures
that neither the head nor its upscaler was trained on. `benchmarks/upscaling_confidence.py` measures on others again.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from train_confidence import Bands, calibrated, calibration, hashed, rounded, stacked, train, write

import restore
from restore.datasets.degrade import to_8_bits
from restore.datasets.downscaling import bicubic
from restore.inference.confidence import ConfidenceHead, HeadInputs
from restore.inference.ranges import Range
from restore.inference.upscaler import Upscaler
from restore.inference.upscaling_confidence import UpscalingConfidence, head_inputs, sharpness
from restore.networks.error_head import ErrorHead

TRAINING, ROUNDS = 224, 2
"""Side of a crop for training, and crops of each picture, at other scales."""
WHOLE = 0.5
"""Fraction of the crops of pictures that keep their size, and so their grain."""
GRAY = 0.25
"""Fraction of the crops that are gray."""
SOFT = 0.1
"""Fraction of the calibration crops, from the softest, that count as unlike the others: of a soft picture the bound holds for half."""
ONE_SIDED = ("noise", "blocks")
"""Traits of which a picture cannot have too little."""
TAILS = 0.02
"""Fraction of the calibration pictures at each end of a trait's range that count as unlike the others."""


@dataclass(frozen=True)
class Head:
    """How one upscaler's head is calibrated.

    Attributes:
        edges: ends of the bands of detail: what the network adds, root mean square, of 255.
        side: of a crop. A pixel of upscale-x2 costs four times as much as one of upscale-x4.
        rounds: crops of each picture, at other scales; of those that fall in one band the first counts.
        calibration: glob patterns of the calibration pictures; empty: two fifths of photos/open.
    """

    edges: tuple[float, ...]
    side: int
    rounds: int
    calibration: tuple[str, ...] = ()


BSDS500 = ("photos/bsds500/train/*.jpg", "photos/bsds500/test/*.jpg")
HEADS = {
    "upscale-x2": Head((0.6, 4.0, 7.0, 20.0), 256, 3),
    "upscale-x4": Head((2.0, 6.0, 9.0, 24.0), 352, 1, BSDS500),  # it learnt from photos/open
}


@dataclass(frozen=True)
class Sample:
    """One upscaled crop, (H, W, C) float32, and what it was upscaled from."""

    name: str
    clean: np.ndarray
    small: np.ndarray
    restored: np.ndarray


def split(root: Path, head: Head) -> tuple[list[Path], list[Path], list[Path]]:
    """Pictures for training, for calibration and for measuring. Where the upscaler learnt from photos/open, it is for training alone."""
    found = sorted((root / "photos/open").glob("*.jpg"), key=hashed)
    if head.calibration:
        return found, sorted((path for pattern in head.calibration for path in root.glob(pattern)), key=hashed), []
    learning, held, measured = (
        [path for path in found if chosen(hashed(path) % 5)] for chosen in (lambda n: n > 2, lambda n: n < 2, lambda n: n == 2)
    )
    return learning, held, measured


def crop(path: Path, side: int, rng: np.random.Generator) -> np.ndarray:
    """A random crop of a picture at a random scale, (H, W, C) float32 in [0, 1]; sides are multiples of 8."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    scale = float(np.clip(1.0 if rng.random() < WHOLE else rng.uniform(0.5, 1), min(1.0, side / min(pixels.shape[:2])), 1))
    if scale < 1:
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    top, left = (int(rng.integers(0, max(1, length - side + 1))) for length in pixels.shape[:2])
    pixels = pixels[top : top + side, left : left + side]
    height, width = (length // 8 * 8 for length in pixels.shape[:2])
    pixels = np.ascontiguousarray(pixels[:height, :width, ::-1])
    if rng.random() < GRAY:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, None]
    return pixels.astype(np.float32) / 255


def crops(scale: int, paths: Sequence[Path], side: int, key: str, rounds: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, clean crop, the same downscaled); seeded by `key`."""
    for number in range(rounds):
        for path in paths:
            clean = crop(path, side, np.random.default_rng(zlib.crc32(f"{key}/{number}/{path.name}".encode())))
            yield path.name, clean, to_8_bits(bicubic(clean, scale))


def samples(upscaler: Upscaler, paths: Sequence[Path], side: int, key: str, rounds: int) -> Iterator[Sample]:
    for name, clean, small in crops(upscaler.scale, paths, side, key, rounds):
        yield Sample(name, clean, small, upscaler.upscale(small)[0])


def learnt(found: Iterator[Sample]) -> Iterator[tuple[HeadInputs, np.ndarray]]:
    """The head's input and the true error."""
    for sample in found:
        height, width = sample.clean.shape[:2]
        enlarged = cv2.resize(sample.small.mean(axis=2), (width, height), interpolation=cv2.INTER_CUBIC)
        error = np.abs(np.clip(sample.restored, 0, 1) - sample.clean).mean(axis=2)
        yield head_inputs(enlarged, sample.restored.mean(axis=2), torch.device("cpu")), error


def bands(network: ErrorHead, upscaler: Upscaler, paths: Sequence[Path], head: Head) -> Bands:
    estimator = UpscalingConfidence(ConfidenceHead(network, None, upscaler.runtime))
    found = Bands(head.edges, "detail")
    for sample in samples(upscaler, paths, head.side, "calibration", head.rounds):
        maps, traits = estimator.examine(sample.small, sample.restored, Range())
        found.add(sample.name, calibrated(maps, traits, sample.clean, sample.restored))
    return found


def least_sharpness(scale: int, paths: Sequence[Path], head: Head) -> float:
    found = [sharpness(small.mean(axis=2)) for _, _, small in crops(scale, paths, head.side, "calibration", head.rounds)]
    return float(np.quantile(found, SOFT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--out", type=Path, default=Path("weights/confidence.safetensors"))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--heads", default=",".join(HEADS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.heads.split(","):
        learning, held, _ = split(options.datasets, HEADS[name])
        since = time.process_time()
        upscaler = restore.load(name, precision="fp32")
        assert isinstance(upscaler, Upscaler)
        data = stacked(learnt(samples(upscaler, learning, TRAINING, "training", ROUNDS)))
        print(f"{name}: {len(learning)} training, {len(held)} calibration pictures, {len(data[0])} patches", flush=True)
        network = rounded(train(data, options.steps))
        print(f"  trained, {time.process_time() - since:.0f} s of processor time", flush=True)
        summary = bands(network, upscaler, held, HEADS[name]).summary(TAILS)
        softest = least_sharpness(upscaler.scale, held, HEADS[name])
        for band in summary:
            band["ranges"]["sharpness"][0] = softest
            for trait in ONE_SIDED:
                band["ranges"][trait][0] = 0.0
        command = f"python benchmarks/train_upscaling_confidence.py DATASETS --steps {options.steps}"
        write(options.out, name, network, calibration(name, "detail", "photographs", held, summary), command)
        print(f"  calibrated, {time.process_time() - since:.0f} s", flush=True)


if __name__ == "__main__":
    main()
