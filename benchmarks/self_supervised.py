"""What a network learns from noisy pictures alone, beside the same network with clean targets, at equal steps.

    python benchmarks/self_supervised.py DATASETS WORK [--cases xray,photo] [--steps 1000] [--precision auto]

DATASETS is the folder with xray256/, xray/, photos/ and test/. Both networks have the same first weights, settings and number of steps
(8 crops of 64 x 64 each), start from nothing and minimise the squared error. One gets noisy 16-bit files, in which black and white leave
room for the noise on both sides, and `--self-supervised`; the other the clean files of the same pictures, with noise of the same kind
drawn anew in each step. Test pictures are float with unclipped noise. Both networks measure its level, as users run them.
    xray    60 chest X-rays of xray256/train (256 x 256), Poisson noise of 50 counts at white and readout of 2 of 255;
            PSNR on all of xray/test, 512 x 512 at the middle
    photo   the photographs of photos/open, 320 x 320 at the middle, white noise of sigma 25 of 255; PSNR on Set12
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tifffile

import restore
from restore.datasets.degrade import poisson_gaussian
from restore.metrics import psnr

PEDESTAL, WHITE = 0.1, 0.7
"""Where black and white of a noisy picture lie in 16 bits, so that noise is not clipped."""
Noise = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Case:
    """What is learnt.

    Attributes:
        noise: a clean picture (H, W) in [0, 1] -> the noisy one.
        settings: of the supervised training: the same noise.
        side: of the training pictures, in pixels.
        train, test: the clean files below DATASETS.
        count: of the training pictures at most.
    """

    noise: Noise
    settings: dict[str, str]
    side: int
    train: str
    test: str
    count: int


def counted(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return poisson_gaussian(clean[:, :, None].astype(np.float32), 50, 2 / 255, rng)[0][:, :, 0]


def white(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(clean + 25 / 255 * rng.standard_normal(clean.shape))


CASES = {
    "xray": Case(
        counted, {"noise.poisson_fraction": "1", "noise.counts": "[50, 50]", "noise.readout": "[2, 2]"}, 256,
        "xray256/train/*/*.jpeg", "xray/test/*", 60,
    ),
    "photo": Case(white, {"noise.sigma": "[25, 25]"}, 320, "photos/open/*.jpg", "test/set12/*", 308),
}  # fmt: skip
SETTINGS = {
    "data.crop": "64", "data.channels": "1", "loop.batch_size": "8", "loop.validate_every": "0", "losses.pixel": "l2",
    "losses.pixel_weight": "100", "data.test_fraction": "0.02", "optimizer.learning_rate": "0.01",
}  # fmt: skip


def middle(path: Path, side: int) -> np.ndarray:
    """(side, side) at most, gray in [0, 1]."""
    picture = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.float64) / 255
    top, left = (max(0, (length - side) // 2) for length in picture.shape)
    return picture[top : top + side, left : left + side]


def write(case: Case, datasets: Path, folder: Path) -> None:
    """The clean and the noisy training pictures, unless they are there."""
    files = sorted(datasets.glob(case.train))
    chosen = np.random.default_rng(0).permutation(len(files))[: case.count]
    for kind in ("clean", "noisy"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for number in chosen:
        clean, name = middle(files[number], case.side), f"{number:04}.tif"
        if not (folder / "noisy" / name).exists():
            noisy = PEDESTAL + (WHITE - PEDESTAL) * case.noise(clean, np.random.default_rng([1, number]))
            for kind, picture in (("clean", clean), ("noisy", noisy)):
                tifffile.imwrite(folder / kind / name, np.rint(np.clip(picture, 0, 1) * 65535).astype(np.uint16))


def score(weights: Path | None, case: Case, datasets: Path) -> float:
    """Mean PSNR on the test pictures, white being 1; of the noisy pictures without weights."""
    denoiser = None if weights is None else restore.load(weights)
    values = []
    for number, path in enumerate(sorted(datasets.glob(case.test))):
        clean = middle(path, 512)
        noisy = case.noise(clean, np.random.default_rng([2, number])).astype(np.float32)
        result = noisy if denoiser is None else denoiser(noisy)
        values.append(psnr(np.asarray(result)[:, :, None], clean[:, :, None]))
    return float(np.mean(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    print("| case | noisy | self-supervised | supervised | difference |\n|---|---|---|---|---|")
    for name in options.cases.split(","):
        case, folder = CASES[name], options.work / name
        write(case, options.datasets, folder)
        reached = {}
        for kind, settings in (("noisy", {"self_supervised": "true"}), ("clean", case.settings)):
            run = folder / f"run-{kind}"
            overrides = {**SETTINGS, **settings, "loop.steps": str(options.steps), "precision": options.precision}
            overrides |= {"optimizer.decay_start": str(options.steps // 4), "optimizer.decay_steps": str(options.steps * 3 // 4)}
            restore.train("denoise", folder / kind, overrides=overrides, out=run, resume=(run / "checkpoint.pt").exists())
            reached[kind] = score(run / f"{run.name}.safetensors", case, options.datasets)
        values = (score(None, case, options.datasets), reached["noisy"], reached["clean"], reached["noisy"] - reached["clean"])
        print(f"| {name} | " + " | ".join(f"{value:.2f}" for value in values[:3]) + f" | {values[3]:+.2f} |", flush=True)


if __name__ == "__main__":
    main()
