"""Quality of the removal of JPEG artefacts, through files and the batch as users run it, nothing told.

    python benchmarks/artifacts.py DATASETS [--weights NAME] [--suites gray,colour,double,pixels,kept] [--limit N] [--qualities 10,40]

DATASETS is the folder with test/ and photos/. Pictures are coded by OpenCV (libjpeg's tables, colour in 4:2:0); PSNR is over all pixels
(RGB for colour) of the decoded and of the restored file, which is written as PNG.
    gray      classic5 (published: DnCNN-3 29.40 / 31.63 / 32.91 / 33.77, FBCNN 30.12 / 32.31 / 33.54 / 34.35 dB at 10 / 20 / 30 / 40)
    colour    the scenes of bsds500/val
    double    classic5, coded twice, the second grid shifted by (4, 4): with quality 10 then 10, 10 then 30 and 10 then 90
    pixels    classic5 as PNG of the decoded JPEG: the blocks and the quality are found in the pixels
    kept      classic5, the result stays JPEG
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

import restore
from restore.datasets.compression import jpeg
from restore.pipeline.batch import BatchOptions

Picture = np.ndarray
DOUBLE = ((10, 10), (10, 30), (10, 90), (30, 50))


def read(path: Path, *, gray: bool) -> Picture:
    """(H, W[, 3]) uint8, blue first."""
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR))


def psnr(first: Picture, second: Picture) -> float:
    """In dB over all values of two uint8 pictures."""
    return float(-10 * np.log10(np.mean((first.astype(np.float64) - second) ** 2) / 255**2))


def shifted(picture: Picture, quality: int) -> Picture:
    """A gray picture after a compression whose blocks begin at (4, 4)."""
    return np.rint(255 * jpeg(picture[:, :, None].astype(np.float32) / 255, quality, top=4, left=4)[:, :, 0]).astype(np.uint8)


def measure(pictures: dict[str, Picture], coded: Callable[[Picture, Path], Path], weights: str | None, format: str | None) -> str:
    """The mean PSNR of the coded and of the restored pictures, and the least gain."""
    with tempfile.TemporaryDirectory() as folder:
        inputs, out = Path(folder) / "in", Path(folder) / "out"
        inputs.mkdir()
        gray = next(iter(pictures.values())).ndim == 2
        files = {name: coded(picture, inputs / name) for name, picture in pictures.items()}
        before = [psnr(read(path, gray=gray), pictures[name]) for name, path in files.items()]
        report = restore.run("artifacts", inputs, out, weights=weights, batch=BatchOptions(format=format))
        assert report.failed == 0, report
        after = [psnr(read(next(out.glob(f"{name}.*")), gray=gray), pictures[name]) for name in pictures]
    gains = np.subtract(after, before)
    least = gains.min()
    return f"JPEG {np.mean(before):5.2f}  restored {np.mean(after):5.2f}  gain {gains.mean():+5.2f} (least {least:+5.2f})  n={len(gains)}"


def as_jpeg(quality: int, first: int | None = None) -> Callable[[Picture, Path], Path]:
    """Code as JPEG; after a shifted compression of quality `first`."""

    def coded(picture: Picture, path: Path) -> Path:
        target = path.with_suffix(".jpg")
        cv2.imwrite(str(target), shifted(picture, first) if first else picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return target

    return coded


def as_pixels(quality: int) -> Callable[[Picture, Path], Path]:
    """Code as JPEG, decode, and write as PNG."""

    def coded(picture: Picture, path: Path) -> Path:
        target = path.with_suffix(".png")
        decoded = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(target), decoded)
        return target

    return coded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--weights", default=None)
    parser.add_argument("--suites", default="gray,colour,double,pixels,kept")
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--qualities", default="10,20,30,40,90,95")
    options = parser.parse_args()
    qualities = [int(one) for one in options.qualities.split(",")]
    classic = {path.stem: read(path, gray=True) for path in sorted((options.datasets / "test/classic5").iterdir())[: options.limit]}
    scenes = sorted((options.datasets / "photos/bsds500/val").glob("*.jpg"))[: options.limit]
    colour = {path.stem: read(path, gray=False) for path in scenes} if "colour" in options.suites else {}
    suites = {
        "gray": [(f"q{quality}", classic, as_jpeg(quality), "png") for quality in qualities],
        "colour": [(f"q{quality}", colour, as_jpeg(quality), "png") for quality in qualities],
        "double": [(f"q{one} then q{two}", classic, as_jpeg(two, one), "png") for one, two in DOUBLE],
        "pixels": [(f"q{quality}", classic, as_pixels(quality), None) for quality in qualities],
        "kept": [(f"q{quality}", classic, as_jpeg(quality), None) for quality in qualities],
    }
    for name in options.suites.split(","):
        for title, pictures, coded, format in suites[name]:
            print(f"{name:7} {title:13} {measure(pictures, coded, options.weights, format)}", flush=True)


if __name__ == "__main__":
    main()
