"""Train the regression that reads the width of a blur off the power spectrum, and compare it with a method that looks at edges:

    python benchmarks/train_blur_width.py DATASETS [--out FILE] [--draws 10] [--limit N]

Training: crops of openly licensed photographs (photos/open, photos/cc), chest X-rays (xray/train) and drawings that the script makes,
at scales of 0.35 to 0.7, some sharpened, some with grain; Gaussian blur of 0 to 3.2 pixels, a quarter as a disc; noise of sigma 0 to 8;
a quarter stored as JPEG. Every fifth picture is held out and chooses nothing: it is scored. Zhuo & Sim 2011, "Defocus map estimation from
a single image", equations 4 to 6, is scored on the same crops, with its curve fitted to the training crops. It takes ten minutes of one
CPU core.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import nn

from restore.datasets import blur, degrade
from restore.images.luma import luma
from restore.inference import blur_estimation, sharpener
from restore.inference.blur_estimation import Regression

SIDES = (200, 256, 384, 512)
SCALES = (0.7, 0.5, 0.35)
"""Of the pictures, which are sharper for it: what passes for sharp at full size often has a blur of half a pixel."""
SHARPENED, AMOUNT = 0.6, 2.0
"""The fraction of the crops that are sharpened first, as cameras and scanners do, and the largest amount of that unsharp mask. With 0.4 and
1.0, blurred scenes of BSDS500 were estimated 0.1 pixels too narrow."""
WINDOWED = 0.5
"""The fraction of the crops that are reduced by Lanczos's kernel."""
GRAINY, GRAIN = 0.3, 4.0
"""The fraction of the crops that get grain before the blur, and its largest sigma of 255."""
UNITS, STEPS, BATCH = 24, 4000, 256
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
KINDS = ("photographs", "X-rays", "drawings")


def pictures(datasets: Path, limit: int | None) -> Iterator[tuple[int, np.ndarray]]:
    """Kind and picture (H, W, 3) float32 in [0, 1]."""
    folders = (("photos/open", "photos/cc"), ("xray/train",))
    for kind, names in enumerate(folders):
        files = [
            path for name in names for path in sorted((datasets / name).iterdir()) if path.suffix in (".jpg", ".jpeg", ".png", ".webp")
        ]
        for path in files[:limit]:
            stored = cv2.imread(str(path))
            if stored is not None and min(stored.shape[:2]) >= 2 * SIDES[0]:
                yield kind, np.ascontiguousarray(stored[:, :, ::-1], np.float32) / np.float32(255)
    for index in range(60 if limit is None else min(60, limit)):
        yield 2, drawing(np.random.default_rng([7, index]))


def drawing(rng: np.random.Generator) -> np.ndarray:
    """Lines, shapes and letters on a shaded ground, (640, 640, 3), drawn four times as fine."""
    side = 2560
    ground = rng.uniform(60, 200) + rng.uniform(-50, 50) * np.linspace(-1, 1, side)[:, None]
    canvas = np.repeat(np.broadcast_to(ground, (side, side))[:, :, None], 3, axis=2).astype(np.uint8)
    for _ in range(int(rng.integers(40, 200))):
        (x, y), colour, kind = rng.integers(0, side, 2).tolist(), rng.integers(0, 256, 3).tolist(), rng.integers(4)
        if kind == 0:
            cv2.line(canvas, (x, y), tuple(rng.integers(0, side, 2).tolist()), colour, int(rng.integers(3, 40)), cv2.LINE_AA)
        elif kind == 1:
            cv2.circle(canvas, (x, y), int(rng.integers(8, 300)), colour, -1, cv2.LINE_AA)
        elif kind == 2:
            cv2.rectangle(canvas, (x, y), tuple((np.array((x, y)) + rng.integers(8, 500, 2)).tolist()), colour, -1)
        else:
            font, size = int(rng.integers(0, 5)), float(rng.uniform(1.5, 8))
            cv2.putText(canvas, "restore 1234", (x, y), font, size, colour, int(rng.integers(3, 14)))
    small = cv2.resize(canvas, (side // 4, side // 4), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / np.float32(255)


def reduced(picture: np.ndarray, scale: float) -> np.ndarray:
    """By Lanczos's kernel, as programs that prepare pictures for the web do: sharper than the mean over an area."""
    size = [round(scale * side) for side in picture.shape[1::-1]]
    return np.asarray(
        Image.fromarray(np.rint(255 * picture).astype(np.uint8)).resize(size, Image.Resampling.LANCZOS), np.float32
    ) / np.float32(255)


def sample(picture: np.ndarray, rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """A width, and a crop's luma blurred by it."""
    scale = rng.choice(SCALES)
    picture = (
        reduced(picture, scale) if rng.random() < WINDOWED else cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    )
    height, wide = (min(side, int(rng.choice(SIDES))) for side in picture.shape[:2])
    top, left = (int(rng.integers(0, side - part + 1)) for side, part in zip(picture.shape[:2], (height, wide), strict=True))
    crop = np.ascontiguousarray(picture[top : top + height, left : left + wide])
    if rng.random() < SHARPENED:
        crop = np.clip(crop + np.float32(rng.uniform(0, AMOUNT)) * (crop - blur.gaussian(crop, 0.8)), 0, 1)
    if rng.random() < GRAINY:
        crop = crop + np.float32(rng.uniform(0, GRAIN) / 255) * rng.standard_normal((*crop.shape[:2], 1)).astype(np.float32)
    width = 0.0 if rng.random() < 0.15 else float(rng.uniform(0.3, 3.2))
    disc = width > 0.5 and rng.random() < 0.25
    blurred = blur.filtered(crop, blur.disc(width)) if disc else blur.gaussian(crop, width)
    noisy, _ = degrade.gaussian(blurred, float(rng.choice([0, 0.5, 1, 1, 2, 4, 8])) / 255, rng)
    stored = degrade.jpeg(noisy, int(rng.integers(75, 98))) if rng.random() < 0.25 else degrade.to_8_bits(noisy)
    return width, np.ascontiguousarray(luma(stored))


def train(inputs: np.ndarray, widths: np.ndarray) -> Regression:
    """Fit the regression by the smooth L1 distance."""
    torch.manual_seed(0)
    mean, deviation = inputs.mean(0), inputs.std(0) + 1e-3
    given, wanted = torch.tensor((inputs - mean) / deviation, dtype=torch.float32), torch.tensor(widths, dtype=torch.float32)
    first, second = nn.Linear(inputs.shape[1], UNITS), nn.Linear(UNITS, 1)
    network = nn.Sequential(first, nn.ReLU(), second)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        chosen = torch.randint(0, len(given), (BATCH,))
        found = network(given[chosen] + 0.05 * torch.randn(BATCH, given.shape[1]))[:, 0]
        loss = nn.functional.smooth_l1_loss(found, wanted[chosen], beta=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    tensors = (one.detach().double().numpy() for one in (first.weight, first.bias, second.weight[0], second.bias))
    weight, bias, out, offset = tensors
    return Regression(mean, deviation, weight, bias, out, float(offset[0]))


def edges(plane: np.ndarray) -> float:
    """Zhuo & Sim's width, not calibrated: the 0.3-quantile over the strongest edges after a blur of 0.7 pixels."""

    def gradient(of: np.ndarray) -> np.ndarray:
        across, down = (cv2.Sobel(of, cv2.CV_32F, dx, dy, ksize=3) / 8 for dx, dy in ((1, 0), (0, 1)))
        return np.asarray(cv2.magnitude(across, down))

    first = cv2.GaussianBlur(plane, (0, 0), 0.7)
    strength, again = gradient(first)[4:-4, 4:-4], gradient(cv2.GaussianBlur(first, (0, 0), 1.0))[4:-4, 4:-4]
    chosen = (strength > np.quantile(strength, 0.9)) & (strength >= cv2.dilate(strength, np.ones((3, 3), np.uint8)))
    if np.count_nonzero(chosen) < 50:
        return 0.0
    ratio = strength[chosen] / np.maximum(again[chosen], 1e-6)
    return float(np.quantile(np.sqrt(np.maximum(1 / np.maximum(ratio**2 - 1, 1e-3) - 0.49, 0.01)), 0.3))


def table(kinds: np.ndarray, widths: np.ndarray, found: dict[str, np.ndarray]) -> list[dict[str, object]]:
    """Mean error and its standard deviation by kind and width."""
    rows: list[dict[str, object]] = []
    for kind, name in enumerate(KINDS):
        for low, high in ((0, 0.01), (0.3, 0.7), (0.7, 1.2), (1.2, 1.8), (1.8, 2.5), (2.5, 3.01)):
            chosen = (kinds == kind) & (widths >= low) & (widths < high)
            row: dict[str, object] = {"kind": name, "width": [low, high], "n": int(chosen.sum())}
            for method, values in found.items():
                errors = values[chosen] - widths[chosen]
                row[method] = [round(float(errors.mean()), 3), round(float(errors.std()), 3)] if chosen.any() else None
            rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--out", type=Path, default=Path("weights") / blur_estimation.TABLE)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--limit", type=int, default=None)
    options = parser.parse_args()
    found = []
    for index, (kind, picture) in enumerate(pictures(options.datasets, options.limit)):
        rng = np.random.default_rng([1, index])
        for _ in range(options.draws):
            width, plane = sample(picture, rng)
            features = blur_estimation.features(plane, sharpener.noise_of(plane))
            if features is not None:
                found.append((index, kind, width, edges(plane), features))
    indices, kinds, widths, curve = (np.array([one[column] for one in found]) for column in range(4))
    inputs = np.stack([one[4] for one in found])
    held = indices % 5 == 0
    regression = train(inputs[~held], widths[~held])
    bins = [(curve[~held & (np.abs(widths - w) < 0.15)]) for w in (0, 0.5, 1, 1.5, 2, 3)]
    by_edges = np.interp(curve, np.maximum.accumulate([np.median(one) for one in bins]), (0, 0.5, 1, 1.5, 2, 3))
    ours = np.clip(regression(inputs), 0, blur_estimation.WIDEST)
    rows = table(kinds[held], np.minimum(widths[held], blur_estimation.WIDEST), {"spectrum": ours[held], "edges": by_edges[held]})
    for row in rows:
        print(json.dumps(row), flush=True)
    stored = {key: value.round(6).tolist() if isinstance(value, np.ndarray) else round(value, 6) for key, value in vars(regression).items()}
    about = {
        "made by": f"python benchmarks/train_blur_width.py DATASETS --draws {options.draws}",
        "data": "photos/open and photos/cc (each under its open licence), chest X-rays (Kermany et al. 2018, CC BY 4.0), drawings",
        "crops": int((~held).sum()),
        "held-out": "every fifth picture; errors as [mean, standard deviation] in pixels",
        "errors": rows,
        "regression": stored,
    }
    options.out.write_text(json.dumps(about, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
