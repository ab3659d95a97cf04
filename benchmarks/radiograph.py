"""Fit and check the radiograph detector of `restore/inference/radiograph.py`.

    python benchmarks/radiograph.py DATASETS

DATASETS is the folder with xray/, photos/, paintings/, facades/ and test/. Prints the constants to paste and the error rates on
pictures that the fit never saw.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import minimize

from restore.inference import radiograph

FIT_XRAYS = ("xray/train/*", "xray/large/*", "xray256/train/*/*")
FIT_PHOTOS = (
    "photos/bsds500/train/*", "photos/bsds500/test/*", "photos/sunhays/*", "photos/cc/*", "photos/open/*", "paintings/*",
    "paintings/large/*", "facades/train/photo/*",
)  # fmt: skip
CHECK_PHOTOS = ("test/set12/*", "test/bsd68/*", "test/set14/*", "test/classic5/*", "photos/bsds500/val/*", "facades/test/photo/*")
SIDE = 256
"""Of the crops."""


def load(root: Path, patterns: tuple[str, ...]) -> list[np.ndarray]:
    """Gray pictures in [0, 1]."""
    files = [path for pattern in patterns for path in sorted(root.glob(pattern))]
    return [picture.astype(np.float32) / 255 for path in files if (picture := cv2.imread(str(path), 0)) is not None]


def variants(picture: np.ndarray, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The picture and `count` - 1 of its parts: at full or half size, whole or a crop, turned, inverted, with other gammas and noises."""
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


def fit(x: np.ndarray, y: np.ndarray, ridge: float = 1.0) -> tuple[np.ndarray, float]:
    """Ridge-penalised logistic regression with the classes weighted equally."""
    weight = np.where(y > 0, 0.5 / y.mean(), 0.5 / (1 - y.mean()))

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ theta[:-1] + theta[-1]
        slope = weight * (1 / (1 + np.exp(-z)) - y)
        value = (weight * (np.logaddexp(0, z) - y * z)).sum() + ridge * (theta[:-1] ** 2).sum() / 2
        return value, np.append(slope @ x + ridge * theta[:-1], slope.sum())

    best = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 2000}).x
    return best[:-1], float(best[-1])


def main(root: Path) -> None:
    positive, negative = table(load(root, FIT_XRAYS), 8, 0), table(load(root, FIT_PHOTOS), 6, 1)
    x = np.concatenate([positive, negative])
    y = np.concatenate([np.ones(len(positive)), np.zeros(len(negative))])
    centre, scale = x.mean(0), x.std(0)
    coefficients, intercept = fit((x - centre) / scale, y)
    for name, values in (("CENTRE", centre), ("SCALE", scale), ("COEFFICIENTS", coefficients)):
        print(f"{name} = ({', '.join(f'{value:.4g}' for value in values)})")
    print(f"INTERCEPT = {intercept:.4g}")
    for name, patterns, wanted in (("X-rays", ("xray/test/*",), True), ("photographs", CHECK_PHOTOS, False)):
        for count in (1, 8):
            seen = (table(load(root, patterns), count, 2) - centre) / scale
            found = 1 / (1 + np.exp(-(seen @ coefficients + intercept))) > radiograph.CERTAIN
            print(f"# unseen {name}{' and their variants' if count > 1 else ''}: {(found == wanted).sum()} of {len(found)} right")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
