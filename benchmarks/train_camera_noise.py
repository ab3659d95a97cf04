"""Train and check the networks of `restore/inference/camera_noise.py`, which tell the noise of cameras from texture.

    python benchmarks/train_camera_noise.py DATASETS [--out FILE] [--samples 8000] [--processes 1]

Training: crops of openly licensed photographs (photos/open, photos/cc), reduced to a fifth to two thirds, which leaves no noise of their
own, and of paintings in the public domain. Half of them get the noise of a simulated camera (`restore.datasets.camera`), a tenth white or
coarse noise. The others are clean: sharpened, softened, enlarged, stored as JPEG, or taken by such a camera in bright light. Every fifth
picture is held out and chooses nothing: it is scored, and so are other pictures. Noise between BETWEEN counts as neither.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import small_networks
import torch
from scipy.special import expit
from small_networks import Fit

from restore.datasets import blur, camera, degrade
from restore.images.luma import luma
from restore.inference import camera_noise
from restore.inference.noise_estimation import measured
from restore.inference.shipped_numbers import Perceptron

PHOTOS, PAINTINGS = ("photos/open", "photos/cc"), ("paintings/large", "paintings/pissarro", "paintings/sisley")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
SCALES, LARGEST = (0.22, 0.65), 0.8
"""Of the pictures; those that are too small for a crop at the latter give none."""
ZOOMED, MOST_ZOOM = 0.5, 3.0
"""Fraction of the crops that are enlarged first, and by how much at most: at full size, pictures of large sensors have no finer detail."""
SIDES, CROPS = (256, 320, 448), 6
"""Pixels; crops of a picture before the next."""
PAINTED, GRAY = 0.1, 0.15
KINDS = {"clean": 0.35, "camera in bright light": 0.15, "camera": 0.42, "white or coarse": 0.08}
BETWEEN = (0.6, 1.5)
"""Sigma of 255."""
HELD = 5
CHECKS = {
    "PolyU, noisy": ("real_noise/polyu", "*_[Rr]eal*"), "PolyU, mean of 500 exposures": ("real_noise/polyu", "*_mean*"),
    "rni6": ("real_noise/rni6", "*"), "Set5": ("test/set5", "*"), "Set14": ("test/set14", "*"),
    "bsds500/val": ("photos/bsds500/val", "*.jpg"),
}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """Features, sigma of 255, index of KINDS, and whether the picture is held out."""

    features: np.ndarray
    sigma: float
    kind: int
    held: bool


def read(path: Path) -> np.ndarray | None:
    """(H, W, 3) float32 in [0, 1]."""
    stored = cv2.imread(str(path))
    return None if stored is None else np.ascontiguousarray(stored[:, :, ::-1]).astype(np.float32) / 255


def files(datasets: Path, folders: tuple[str, ...]) -> list[Path]:
    return [path for folder in folders for path in sorted((datasets / folder).iterdir()) if path.suffix.lower() in SUFFIXES]


def crop(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """A crop of the reduced picture, enlarged or not; None for a picture that is too small."""
    side = int(rng.choice(SIDES))
    zoom = rng.uniform(1, MOST_ZOOM) if rng.random() < ZOOMED else 1.0
    own = round(side / zoom)
    scale = max(rng.uniform(*SCALES), (own + 16) / min(picture.shape[:2]))
    if scale > LARGEST:
        return None
    size = [round(scale * length) for length in picture.shape[1::-1]]
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    top, left = (int(rng.integers(0, length - own + 1)) for length in small.shape[:2])
    part = np.ascontiguousarray(small[top : top + own, left : left + own])
    return part if own == side else np.clip(cv2.resize(part, (side, side), interpolation=cv2.INTER_CUBIC), 0, 1)


def clean(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What programs do to pictures without noise."""
    if rng.random() < 0.5:
        picture = np.clip(picture + np.float32(rng.uniform(0, 2)) * (picture - blur.gaussian(picture, rng.uniform(0.6, 1.2))), 0, 1)
    if rng.random() < 0.3:
        picture = blur.gaussian(picture, rng.uniform(0.3, 1.5))
    if rng.random() < 0.2:
        factor = rng.uniform(1.2, 2.2)
        picture = np.clip(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), 0, 1)
    return degrade.jpeg(picture, int(rng.integers(65, 99))) if rng.random() < 0.5 else degrade.to_8_bits(picture)


def taken(picture: np.ndarray, rng: np.random.Generator, *, noisy: bool) -> tuple[np.ndarray, float]:
    """By a camera; and the sigma of the noise, that is, of the difference to a picture taken in bright light."""
    settings, seed = camera.draw(rng), int(rng.integers(1 << 40))
    bright, _ = camera.photograph(picture, camera.without_noise(settings), np.random.default_rng(seed))
    if not noisy:
        return bright, 0.0
    stored, _ = camera.photograph(picture, settings, np.random.default_rng(seed))
    return stored, float(255 * np.sqrt(np.mean((stored - bright) ** 2)))


def grainy(picture: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """White or coarse noise; and its sigma."""
    sigma = float(rng.uniform(1, 12))
    noisy, _ = (degrade.correlated if rng.random() < 0.7 else degrade.gaussian)(picture, sigma / 255, rng)
    return (degrade.jpeg(noisy, int(rng.integers(80, 99))) if rng.random() < 0.5 else degrade.to_8_bits(noisy)), sigma


def sample(picture: np.ndarray, rng: np.random.Generator, *, painting: bool, held: bool) -> Sample | None:
    """One sample of a picture."""
    part = crop(picture, rng)
    if part is None:
        return None
    gray, kind = rng.random() < GRAY, int(rng.choice(len(KINDS), p=list(KINDS.values())))
    kind = 0 if painting and kind == 2 else kind  # a painting under noise would be texture under noise
    if kind == 0:
        made, sigma = clean(part, rng), 0.0
    elif kind == 3:
        made, sigma = grainy(luma(part)[:, :, None] if gray else part, rng)
    else:
        made, sigma = taken(part, rng, noisy=kind == 2)
    if gray and made.shape[2] == 3:
        made = degrade.to_8_bits(luma(made)[:, :, None])
    found = camera_noise.features(made, measured(made))
    return None if found is None else Sample(found, sigma, kind, held)


def samples(datasets: Path, count: int, seed: int) -> list[Sample]:
    """`count` samples or a few more."""
    rng = np.random.default_rng(seed)
    photos, paintings = files(datasets, PHOTOS), files(datasets, PAINTINGS)
    found: list[Sample] = []
    while len(found) < count:
        for index in rng.permutation(len(photos)):
            painting = rng.random() < PAINTED
            picture = read(paintings[int(rng.integers(len(paintings)))] if painting else photos[index])
            if picture is not None:
                made = [sample(picture, rng, painting=painting, held=bool(index % HELD == 0) and not painting) for _ in range(CROPS)]
                found += [one for one in made if one is not None]
            if len(found) >= count:
                break
    return found


def scores(presence: Perceptron, chosen: list[Sample]) -> Iterator[str]:
    """How many of each kind are recognised."""
    for kind, name in enumerate(KINDS):
        own = [one for one in chosen if one.kind == kind]
        right = sum((expit(presence(one.features)) > 0.5) == (one.sigma > BETWEEN[1]) for one in own)
        yield f"{name}: {right} of {len(own)}"


def checks(presence: Perceptron, datasets: Path) -> Iterator[str]:
    """How many other pictures count as noisy."""
    for name, (folder, pattern) in CHECKS.items():
        pictures = [picture for path in sorted((datasets / folder).glob(pattern)) if (picture := read(path)) is not None]
        values = [camera_noise.features(picture, measured(picture)) for picture in pictures]
        yield f"{name}: {sum(expit(presence(one)) > 0.5 for one in values if one is not None)} of {len(values)} noisy"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--out", type=Path, default=Path("weights") / camera_noise.TABLE)
    parser.add_argument("--samples", type=int, default=8000)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    parts = 4  # the samples are the same for any number of processes
    with multiprocessing.Pool(options.processes) as pool:
        made = pool.starmap(samples, [(options.datasets, options.samples // parts, seed) for seed in range(parts)])
    every = [one for part in made for one in part if not BETWEEN[0] < one.sigma < BETWEEN[1]]
    fitted, held = ([one for one in every if one.held == side] for side in (False, True))
    inputs, sigma = np.stack([one.features for one in fitted]), np.array([one.sigma for one in fitted])
    present = sigma > BETWEEN[1]
    settings = Fit(width=32, steps=5000, noise=0.3, decay=0.1)
    presence = small_networks.fit(inputs, present, 0, torch.nn.functional.binary_cross_entropy_with_logits, settings)
    strength = small_networks.fit(inputs[present], np.log(sigma[present]), 0, torch.nn.functional.smooth_l1_loss, settings)
    noisy = [one for one in held if one.sigma > BETWEEN[1]]
    errors = [abs(float(strength(one.features)) - np.log(one.sigma)) for one in noisy]
    about = {
        "made by": "python benchmarks/train_camera_noise.py DATASETS",
        "data": "photos/open and photos/cc (each under its open licence), and paintings in the public domain",
        "samples": {"trained": len(fitted), "held out": len(held)},
        "right of the held-out": list(scores(presence, held)),
        "error of log sigma": round(float(np.mean(errors)), 3),
        "other pictures": list(checks(presence, options.datasets)),
    }
    print(json.dumps(about, indent=1))
    networks = {"presence": small_networks.stored(presence), "strength": small_networks.stored(strength)}
    options.out.write_text(json.dumps({**about, **networks}) + "\n", "utf-8")


if __name__ == "__main__":
    main()
