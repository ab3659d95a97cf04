"""Train and check the radiograph detector of `restore/inference/radiograph.py`.

    python benchmarks/radiograph.py DATASETS

DATASETS is the folder with xray/, photos/, paintings/ and test/. Writes weights/radiograph.json, and prints the error rates on pictures
that the training never saw.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import small_networks
import torch
from scipy.special import expit
from small_networks import Fit

from restore.inference import radiograph

FIT_XRAYS = ("xray/train/*", "xray/large/*", "xray256/train/*/*")
FIT_PHOTOS = (
    "photos/cc/*", "photos/open/*", "paintings/*", "paintings/large/*", "paintings/sisley/*", "paintings/pissarro/*",
    "paintings/monet256/train/*",
)  # fmt: skip
CHECK_XRAYS = ("xray/test/*", "xray256/test/*/*")
CHECK_PHOTOS = ("test/set12/*", "test/bsd68/*", "test/set14/*", "test/classic5/*", "photos/bsds500/val/*", "facades/test/photo/*")
CHECK_OLD = ("old_photos/*/*",)
SIDE = 256
"""Of the crops."""
FLAT, DARKEST = 0.3, 0.12
"""Fraction of the parts whose contrast is reduced, and the most to which it is."""
SEED = 1


def load(root: Path, patterns: tuple[str, ...]) -> list[np.ndarray]:
    """Gray pictures in [0, 1]."""
    files = [path for pattern in patterns for path in sorted(root.glob(pattern))]
    return [picture.astype(np.float32) / 255 for path in files if (picture := cv2.imread(str(path), 0)) is not None]


def variants(picture: np.ndarray, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The picture and `count` - 1 of its parts: at full or half size, whole or a crop, turned, inverted, with other tones and noises."""
    made = [picture]
    for index in range(count - 1):
        piece = picture
        if index % 2 and min(piece.shape) >= 256:
            piece = cv2.resize(piece, (piece.shape[1] // 2, piece.shape[0] // 2), interpolation=cv2.INTER_AREA)
        if rng.random() < 0.6 and min(piece.shape) > SIDE:
            top, left = (int(rng.integers(length - SIDE + 1)) for length in piece.shape)
            piece = piece[top : top + SIDE, left : left + SIDE]
        piece = np.rot90(piece, int(rng.choice(4, p=(0.7, 0.1, 0.1, 0.1))))
        piece = np.clip(piece, 0, 1) ** rng.uniform(0.7, 1.4)
        if rng.random() < FLAT:  # dark or pale: without these, a quarter of photographs that are four times too dark counted as radiographs
            piece = np.clip(rng.uniform(0, 0.5) * rng.integers(2) + np.exp(rng.uniform(np.log(DARKEST), 0)) * piece, 0, 1)
        piece = 1 - piece if rng.random() < 0.2 else piece
        if rng.random() < 0.5:
            counts = np.exp(rng.uniform(*np.log((15, 1000))))
            piece = rng.poisson(piece * counts) / counts
        made.append((piece + rng.uniform(0, 0.15) * rng.random() * rng.standard_normal(piece.shape)).astype(np.float32))
    return made


def table(pictures: list[np.ndarray], count: int, seed: int) -> np.ndarray:
    """(N, F) features."""
    rng = np.random.default_rng(seed)
    return np.array([radiograph.features(made) for picture in pictures for made in variants(picture, count, rng) if min(made.shape) >= 64])


def main(root: Path) -> None:
    positive, negative = table(load(root, FIT_XRAYS), 16, 0), table(load(root, FIT_PHOTOS), 16, 1)
    samples, labels = np.concatenate([positive, negative]), np.repeat([1.0, 0.0], [len(positive), len(negative)])
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    classifier = small_networks.fit(samples, labels, SEED, loss, Fit(width=24, steps=6000))
    checks: dict[str, str] = {}
    for name, factor in (("dark", 0.25), ("very dark", 0.15)):
        dark = [factor * picture for picture in load(root, CHECK_PHOTOS)]
        right = (expit(classifier(np.array([radiograph.features(picture) for picture in dark]))) <= radiograph.CERTAIN).sum()
        checks[f"{name} photographs (x {factor})"] = f"{right} of {len(dark)}"
    for name, patterns, positives in (
        *((f"X-rays, {pattern}", (pattern,), True) for pattern in CHECK_XRAYS),
        ("photographs", CHECK_PHOTOS, False), ("old photographs", CHECK_OLD, False),
    ):  # fmt: skip
        for count in (1, 8):
            certain = expit(classifier(table(load(root, patterns), count, 2))) > radiograph.CERTAIN
            right = f"{(certain == positives).sum()} of {len(certain)}"
            checks[f"{name}, with their parts, noisy" if count > 1 else name] = right
    print(json.dumps(checks, indent=1))
    about = {
        "made by": "python benchmarks/radiograph.py DATASETS",
        "data": "chest X-rays (Kermany et al. 2018, CC BY 4.0) against photos/open, photos/cc (each under its open licence) and paintings "
        "in the public domain",
        "samples": [len(positive), len(negative)],
        "right on other pictures": checks,
        "classifier": small_networks.stored(classifier),
    }
    (Path("weights") / radiograph.TABLE).write_text(json.dumps(about, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
