"""What `restore denoise --adapt` gains on folders of strange noise, and whether it decides rightly without the clean pictures.

    python benchmarks/adapt.py DATASETS [--folders blur-0,counts-1] [--steps 60] [--pictures 16] [--seed 0] [--json FILE]

DATASETS is the folder with xray256/, photos/ and xray/. Each folder has 16-bit pictures of 256 x 256 whose clean versions this script
alone knows. There are five kinds, and two folders of each with other pictures and another seed:
  blur      chest X-rays; noise of sigma 15 (12 in the second folder) of 255, white noise blurred by 3 x 3 pixels
  lines     chest X-rays; white noise of sigma 6 and offsets of sigma 6 of rows and 4 of columns (second: 5, rows 0, columns 7)
  cells     spots (second: filaments) on a dark ground; at most 60 (30) photons, an offset of 100 and a gain of 2.2 steps a photon,
            readout noise of 1.6 photons: a few hundred of the 65535 steps
  counts    phantoms of ellipses (second: rotated Shepp-Logan-like heads), 8 photons at white and nothing else
  known     what the weights were taught: chest X-rays of 50 counts and readout 2; photographs with white noise of sigma 25
The pictures are restored as the command line does it, with the weights that it chooses for most of them; the others are left out. PSNR
is the mean over the pictures that were not trained on, half of a folder, white being the brightest value of the clean ones. A decision
is wrong if the adapted weights are used and more than 0.05 dB worse, or dropped and more than 0.3 dB better.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import tifffile

from restore import weights
from restore.datasets.degrade import poisson_gaussian
from restore.inference.loading import InferenceOptions
from restore.metrics import psnr
from restore.pipeline.step import Image, ImageInfo
from restore.runtime import choose
from restore.tasks import adaptation
from restore.tasks.denoise import Denoise
from restore.tasks.options import DenoiseOptions

SIDE = 256
PEDESTAL, WHITE = 0.1, 0.8
"""Where black and white of a picture lie in 16 bits, so that noise is not clipped."""
WORSE, BETTER = 0.05, 0.3
"""In dB: what makes a decision wrong."""
Pair = tuple[np.ndarray, np.ndarray]
"""The clean and the noisy picture, (H, W) in [0, 1] of 16 bits."""
Maker = Callable[[np.ndarray, np.random.Generator, int], Pair]


def blurred(clean: np.ndarray, rng: np.random.Generator, variant: int) -> Pair:
    """Noise that a detector's blur correlates."""
    noise = cv2.blur(rng.standard_normal(clean.shape), (3, 3)) * 3 * ((15, 12)[variant] / 255)
    return _placed(clean), _placed(clean + noise)


def lines(clean: np.ndarray, rng: np.random.Generator, variant: int) -> Pair:
    """Rows and columns with offsets of their own."""
    white, rows, columns = ((6, 6, 4), (5, 0, 7))[variant]
    noise = white * rng.standard_normal(clean.shape) + rows * rng.standard_normal((len(clean), 1)) + columns * rng.standard_normal(SIDE)
    return _placed(clean), _placed(clean + noise / 255)


def cells(clean: np.ndarray, rng: np.random.Generator, variant: int) -> Pair:
    """A fluorescence microscope: few photons, readout noise, and a camera's offset and gain."""
    photons = 2 + (60, 30)[variant] * clean
    seen = rng.poisson(photons) + rng.normal(0, 1.6, clean.shape)
    return (100 + 2.2 * photons) / 65535, np.rint(np.clip(100 + 2.2 * seen, 0, 65535)) / 65535


def counts(clean: np.ndarray, rng: np.random.Generator, variant: int) -> Pair:
    """Single photons are counted, 8 at white; the file holds 2000 steps a photon."""
    return clean * 8 * 2000 / 65535, np.minimum(rng.poisson(clean * 8) * 2000, 65535) / 65535


def known(clean: np.ndarray, rng: np.random.Generator, variant: int) -> Pair:
    """The noise that the weights were trained on."""
    if variant == 0:
        noisy = poisson_gaussian(clean[:, :, None].astype(np.float32), 50, 2 / 255, rng)[0][:, :, 0]
        return np.asarray(clean / 1.6), np.rint(np.clip(noisy / 1.6, 0, 1) * 65535) / 65535
    return _placed(clean), _placed(clean + 25 / 255 * rng.standard_normal(clean.shape))


def _placed(picture: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(np.clip(PEDESTAL + (WHITE - PEDESTAL) * picture, 0, 1) * 65535) / 65535)


def radiographs(datasets: Path, rng: np.random.Generator, variant: int, count: int) -> list[np.ndarray]:
    """Chest X-rays, other ones for each variant and kind."""
    files = sorted((datasets / "xray256/train").rglob("*.jpeg"))
    chosen = rng.choice(len(files) // 2, count, replace=False) * 2 + variant
    return [cv2.imread(str(files[number]), cv2.IMREAD_GRAYSCALE) / 255 for number in chosen]


def photographs(datasets: Path, rng: np.random.Generator, variant: int, count: int) -> list[np.ndarray]:
    """Squares at the middle of gray test photographs; X-rays of `xray/test`, made smaller, for the first variant."""
    if variant:
        files = sorted((datasets / "photos/bsds500/val").glob("*.jpg"))
        pictures = [cv2.imread(str(files[number]), cv2.IMREAD_GRAYSCALE) / 255 for number in rng.choice(len(files), count, replace=False)]
        return [one[(len(one) - SIDE) // 2 :, (one.shape[1] - SIDE) // 2 :][:SIDE, :SIDE] for one in pictures]
    files = sorted((datasets / "xray/test").glob("*"))
    found = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) / 255 for path in files[:count]]
    return [one[(len(one) - SIDE) // 2 :, (one.shape[1] - SIDE) // 2 :][:SIDE, :SIDE] for one in found]


def specimens(datasets: Path, rng: np.random.Generator, variant: int, count: int) -> list[np.ndarray]:
    """Bright spots or filaments, blurred as a microscope does, with a faint glow."""
    return [_filaments(rng) if variant else _spots(rng) for _ in range(count)]


def _spots(rng: np.random.Generator) -> np.ndarray:
    picture = np.zeros((SIDE, SIDE))
    for _ in range(int(rng.integers(40, 120))):
        picture[tuple(rng.integers(0, SIDE, 2))] += rng.uniform(0.2, 1)
    sharp = cv2.GaussianBlur(picture, (0, 0), 1.5) * 2 * np.pi * 1.5**2
    glow = cv2.GaussianBlur(picture, (0, 0), 20)
    return np.asarray(np.clip(0.9 * sharp + 0.1 * glow / glow.max(), 0, 1))


def _filaments(rng: np.random.Generator) -> np.ndarray:
    picture = np.zeros((SIDE, SIDE))
    for _ in range(int(rng.integers(12, 25))):
        place, angle, bend = rng.uniform(0, SIDE, 2), rng.uniform(0, 2 * np.pi), rng.normal(0, 0.01)
        bright, points = rng.uniform(0.3, 1), []
        for _ in range(int(rng.integers(60, 300))):
            angle += bend + rng.normal(0, 0.03)
            place = place + np.array((np.cos(angle), np.sin(angle)))
            points.append(place)
        cv2.polylines(picture, [np.rint(np.array(points) * 8).astype(np.int32)], False, bright, 1, cv2.LINE_8, 3)
    return np.asarray(np.clip(cv2.GaussianBlur(picture, (0, 0), 1.2) * 2.5 + 0.1 * cv2.GaussianBlur(picture, (0, 0), 20), 0, 1))


def phantoms(datasets: Path, rng: np.random.Generator, variant: int, count: int) -> list[np.ndarray]:
    """Ellipses of constant brightness: any, or those of a head (after Shepp and Logan 1974), turned and varied."""
    return [_head(rng) if variant else _ellipses(rng) for _ in range(count)]


def _ellipses(rng: np.random.Generator) -> np.ndarray:
    picture = np.full((SIDE, SIDE), rng.uniform(0.1, 0.3))
    for _ in range(int(rng.integers(8, 20))):
        _add(picture, rng.uniform(-0.8, 0.8, 2), rng.uniform(0.05, 0.5, 2), rng.uniform(0, 180), rng.uniform(-0.3, 0.4))
    return np.clip(picture, 0.05, 1)


HEAD = (
    (0, 0, 0.69, 0.92, 0, 0.9), (0, -0.02, 0.66, 0.87, 0, -0.5), (0.22, 0, 0.11, 0.31, -18, -0.2), (-0.22, 0, 0.16, 0.41, 18, -0.2),
    (0, 0.35, 0.21, 0.25, 0, 0.2), (0, 0.1, 0.05, 0.05, 0, 0.25), (0, -0.1, 0.05, 0.05, 0, 0.25), (-0.08, -0.6, 0.05, 0.03, 0, 0.25),
    (0.06, -0.6, 0.03, 0.05, 0, 0.25),
)  # fmt: skip
"""x, y, half axes, angle, added brightness of the ellipses, in units of half a picture."""


def _head(rng: np.random.Generator) -> np.ndarray:
    picture, turn, size = np.full((SIDE, SIDE), 0.1), rng.uniform(-30, 30), rng.uniform(0.8, 1)
    cosine, sine = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    for x, y, width, height, angle, bright in HEAD:
        place = size * np.array((cosine * x - sine * y, sine * x + cosine * y))
        _add(picture, place, size * np.array((width, height)) * rng.uniform(0.9, 1.1), angle + turn, bright * rng.uniform(0.8, 1.1))
    return np.clip(picture, 0.05, 1)


def _add(picture: np.ndarray, place: np.ndarray, axes: np.ndarray, angle: float, bright: float) -> None:
    mask = np.zeros(picture.shape, np.uint8)
    centre, half = ((SIDE / 2 * (1 + place)) * 16).astype(int), (SIDE / 2 * axes * 16).astype(int)
    cv2.ellipse(mask, tuple(map(int, centre)), tuple(map(int, half)), angle, 0, 360, 1, -1, cv2.LINE_8, 4)
    picture += bright * mask


KINDS: dict[str, tuple[Callable[..., list[np.ndarray]], Maker]] = {
    "blur": (radiographs, blurred),
    "lines": (radiographs, lines),
    "cells": (specimens, cells),
    "counts": (phantoms, counts),
    "known": (photographs, known),
}
FOLDERS = [f"{kind}-{variant}" for kind in KINDS for variant in (0, 1)]


def pairs(datasets: Path, folder: str, count: int, seed: int = 0) -> list[Pair]:
    """The pictures of a folder; another seed chooses other pictures and other noise."""
    kind, variant = folder.split("-")
    rng = np.random.default_rng([list(KINDS).index(kind), int(variant), *([seed] if seed else [])])
    content, degraded = KINDS[kind]
    return [degraded(clean, rng, int(variant)) for clean in content(datasets, rng, int(variant), count)]


def score(step: Denoise, found: list[Pair]) -> float:
    """Mean PSNR of the restored pictures, as files of 16 bits."""
    white = max(float(clean.max()) for clean, _ in found)
    values = []
    for clean, noisy in found:
        result = step(Image(noisy[:, :, None].astype(np.float32), info=ImageInfo())).pixels
        result = np.rint(np.clip(result, 0, 1) * 65535) / 65535
        values.append(psnr(result / white, clean[:, :, None] / white))
    return float(np.mean(values))


def measure(folder: str, options: argparse.Namespace) -> dict[str, object]:
    """Adapt to one folder and print its row."""
    found = pairs(options.datasets, folder, options.pictures, options.seed)
    runtime = choose("auto", options.precision)
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place) / f"{number:02}.tif" for number in range(len(found))]
        for path, (_, noisy) in zip(files, found, strict=True):
            tifffile.imwrite(path, np.rint(noisy * 65535).astype(np.uint16))
        given = Denoise(DenoiseOptions(), None, InferenceOptions(runtime))
        name, files = given.most_common_weights(files)
        since = time.perf_counter()
        candidate = adaptation.fine_tuned(weights.find(name), files, runtime, 1.0, steps=options.steps)
        seconds = time.perf_counter() - since
        found = [found[number] for number in map(int, (path.stem for path in adaptation.held_out(files)))]
        before = score(given, found)
        row: dict[str, object] = {"folder": folder, "weights": name, "given": before, "seconds": seconds}
        if isinstance(candidate, str):
            row |= {"decision": "none", "right": True, "why": candidate}
            print(f"{folder:9} {name:13} given {before:6.2f} dB, {candidate}", flush=True)
            return row
        path = Path(place) / "adapted.safetensors"
        candidate.save(path)
        after = score(Denoise(DenoiseOptions(), path, InferenceOptions(runtime)), found)
    judgement = candidate.judgement
    gain = after - before
    right = gain >= -WORSE if judgement.helps else gain <= BETTER
    print(
        f"{folder:9} {name:13} given {before:6.2f} dB, adapted {after:6.2f} ({gain:+.2f}); estimated {judgement.gain:+.2f}, at least "
        f"{judgement.least:+.2f}, {judgement.certainty:.1f} standard errors: {'used' if judgement.helps else 'dropped'}, "
        f"{'right' if right else 'WRONG'}  {seconds:.0f} s; {candidate.noise}",
        flush=True,
    )
    return row | {"adapted": after, "estimated": judgement.gain, "least": judgement.least, "used": judgement.helps, "right": right}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--folders", default=",".join(FOLDERS))
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [measure(folder, options) for folder in options.folders.split(",")]
    if options.json:
        options.json.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
