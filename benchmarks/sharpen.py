"""Quality of sharpening beside the classical methods, each at its best setting, on the scenes of bsds500/val.

    python benchmarks/sharpen.py DATASETS [--widths 0,1,1.5,2] [--noise 1] [--limit N] [--weights sharpen]

Protocol: colour, Gaussian blur of the width in pixels, Gaussian noise (sigma of 255), rounded to 8 bits; PSNR in dB over all values, the
results rounded to 8 bits. Ours is blind; "specified" gets the true width, but not the noise; "filter" is what precedes the network, with
the true width. Unsharp masking (radius and amount), Wiener's filter
and Richardson-Lucy get the true width, and the truth chooses their other setting for each picture. Width 0 is the sharp picture, for ours
alone.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from restore.images import deconvolution
from restore.images.luma import CHROMA_TO_RGB, luma
from restore.inference import sharpener
from restore.inference.sharpener import Sharpener

Method = Callable[[np.ndarray, float], Iterator[np.ndarray]]
"""A blurred picture and its width -> one result for each setting."""


def gaussian(picture: np.ndarray, width: float) -> np.ndarray:
    """Blur by a Gaussian of standard deviation `width`; 0 leaves the picture as it is."""
    return cv2.GaussianBlur(picture, (0, 0), width, borderType=cv2.BORDER_REFLECT).reshape(picture.shape) if width else picture


def unsharp(picture: np.ndarray, width: float) -> Iterator[np.ndarray]:
    """Unsharp masking."""
    for radius in (width, 1.5 * width, 2 * width):
        low = gaussian(picture, radius)
        for amount in (0.5, 1.0, 1.5, 2.0, 3.0):
            yield picture + np.float32(amount) * (picture - low)


def wiener(picture: np.ndarray, width: float) -> Iterator[np.ndarray]:
    """Wiener's filter with a white ratio of noise to signal, on the mirrored picture."""
    height, columns = picture.shape[:2]
    mirrored = np.concatenate([picture, picture[::-1]], 0)
    spectrum = np.fft.rfft2(np.concatenate([mirrored, mirrored[:, ::-1]], 1), axes=(0, 1))
    squared = np.fft.fftfreq(2 * height)[:, None] ** 2 + np.fft.rfftfreq(2 * columns)[None] ** 2
    response = np.exp(-2 * (np.pi * width) ** 2 * squared)[:, :, None]
    for ratio in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2):
        restored = np.fft.irfft2(spectrum * response / (response**2 + ratio), (2 * height, 2 * columns), axes=(0, 1))
        yield restored[:height, :columns].astype(np.float32)


def richardson_lucy(picture: np.ndarray, width: float) -> Iterator[np.ndarray]:
    """Richardson & Lucy's iterations; each of some counts is a result."""
    positive = np.clip(picture, 1e-3, None)
    restored = positive.copy()
    for iteration in range(1, 31):
        restored *= gaussian(positive / np.maximum(gaussian(restored, width), 1e-6), width)
        if iteration in (3, 6, 10, 15, 20, 30):
            yield restored.copy()


def filtered(picture: np.ndarray, width: float) -> np.ndarray:
    """The filter before the network alone."""
    gray = np.ascontiguousarray(luma(picture))
    noise = sharpener.noise_of(gray)
    sharper = deconvolution.wiener(gray, width, noise)(gray)
    return np.asarray(sharper[:, :, None] + sharpener.sharper_chroma(picture, width, noise, None) @ CHROMA_TO_RGB)


def eight(picture: np.ndarray) -> np.ndarray:
    """Rounded to 8 bits, in [0, 1]."""
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.float32) / np.float32(255)


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """In dB; at most 99."""
    return float(min(99.0, -10 * np.log10(np.mean((first - second) ** 2) + 1e-12)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--widths", default="0,1,1.5,2")
    parser.add_argument("--noise", type=float, default=1.0)
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--weights", default="sharpen")
    options = parser.parse_args()
    model = Sharpener.load(options.weights)
    methods: dict[str, Method] = {"unsharp": unsharp, "wiener": wiener, "richardson-lucy": richardson_lucy}
    for width in (float(one) for one in options.widths.split(",")):
        found: dict[str, list[float]] = defaultdict(list)
        for index, path in enumerate(sorted((options.datasets / "photos/bsds500/val").glob("*.jpg"))[: options.limit]):
            clean = np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1]).astype(np.float32) / np.float32(255)
            noise = np.random.default_rng(index).normal(0, options.noise / 255, clean.shape) if width else 0
            blurred = eight(gaussian(clean, width) + np.float32(noise)) if width else clean
            found["input"].append(psnr(blurred, clean))
            blind = sharpener.estimate(blurred)
            found["ours"].append(psnr(eight(model.sharpen(blurred, blind)[0]) if blind else blurred, clean))
            if width:
                found["ours, specified"].append(psnr(eight(model.sharpen(blurred, width)[0]), clean))
                found["filter"].append(psnr(eight(filtered(blurred, width)), clean))
                for name, method in methods.items():
                    found[name].append(max(psnr(eight(result), clean) for result in method(blurred, width)))
        rows = "  ".join(f"{name} {np.mean(values):5.2f}" for name, values in found.items())
        print(
            f"width {width:g} noise {options.noise:g}  {rows}  least of ours {min(found['ours']):5.2f}  n={len(found['ours'])}", flush=True
        )


if __name__ == "__main__":
    main()
