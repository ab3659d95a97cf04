"""The first screen of the README: four strips before | after, and a table of quality and time beside other methods.

    python benchmarks/showcase.py DATASETS [--readme README.md] [--images docs/images] [--limit 4] [--only strips|table]

Strips, at 100 %: a low-dose X-ray of data/xray; a photograph reduced to a quarter, by the cubic kernel and by `upscale-x4-photo`; a filled
hole; a painted photograph. The photographs are CC0 (scikit-image's camera; photos/open, budgie); the networks did not learn from them.
Table: the protocols of benchmarks/denoise.py (8-bit and xray), upscale.py and artifacts.py on the first LIMIT pictures of each set. The
others get the true noise, ours estimates it. Time is processor time for a megapixel, of all threads, in one run. BM3D and scikit-image
need `pip install 'restore-suite[benchmarks]'`. Both are written between the markers of the README.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import artifacts
import cv2
import denoise
import numpy as np
import skimage.data
import upscale

import restore
from restore.datasets.degrade import to_8_bits
from restore.images.quantisation import Quantisation
from restore.metrics import psnr
from restore.networks.resample import shrink

SIDE = (300, 440)
"""Rows and columns of each half of a strip."""
GAP = 6
QUALITY = 88
HOLE_COLOUR = np.float32([1, 0.2, 0.6])
XRAY, COUNTS = "data/xray/low-dose/50-counts-16bit.png", 50
HOLE, PAINTED = (f"photos/open/budgie__{name}.jpg" for name in ("lake-sherburne", "roman-colosseum"))
MARKERS = ("<!-- benchmarks/showcase.py -->", "<!-- end of benchmarks/showcase.py -->")


@dataclass(frozen=True)
class Row:
    """One method on one set: its mean PSNR in dB, and processor seconds for a megapixel."""

    name: str
    decibels: float
    seconds: float


def half(picture: np.ndarray, top: float = 0.5, left: float = 0.5) -> np.ndarray:
    """SIDE pixels of (H, W, C), (SIDE, 3); `top` and `left` are 0 at the beginning, 1 at the end."""
    corner = [round(at * (length - side)) for at, length, side in zip((top, left), picture.shape[:2], SIDE, strict=True)]
    part = picture[corner[0] : corner[0] + SIDE[0], corner[1] : corner[1] + SIDE[1]]
    return np.repeat(part, 3, axis=2) if part.shape[2] == 1 else part


def write(path: Path, before: np.ndarray, after: np.ndarray) -> None:
    """Both side by side, as JPEG."""
    gap = np.ones((SIDE[0], GAP, 3), np.float32)
    strip = np.concatenate([before, gap, after], 1)
    cv2.imwrite(str(path), np.rint(255 * np.clip(strip[:, :, ::-1], 0, 1)), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def xray() -> tuple[np.ndarray, np.ndarray]:
    noisy = cv2.imread(XRAY, cv2.IMREAD_UNCHANGED).astype(np.float32)[:, :, None] / 65535
    return half(noisy, 0.5, 0.0), half(restore.load("denoise-xray")(noisy), 0.5, 0.0)


def larger() -> tuple[np.ndarray, np.ndarray]:
    small = to_8_bits(upscale.on_planes(shrink, skimage.data.camera()[:, :, None].astype(np.float32) / 255, 4))
    cubic = upscale.opencv(cv2.INTER_CUBIC, 4)(small).reshape(4 * small.shape[0], 4 * small.shape[1], 1)
    return half(cubic, 0.25, 0.3), half(restore.load("upscale-x4-photo")(small), 0.25, 0.3)


def filled(datasets: Path) -> tuple[np.ndarray, np.ndarray]:
    picture = half(denoise.picture(datasets / HOLE, cv2.IMREAD_COLOR), 0.62, 0.35)
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.ellipse(mask, (160, 150), (34, 24), 20, 0, 360, 1, -1)
    cv2.putText(mask, "restore", (250, 90), cv2.FONT_HERSHEY_SIMPLEX, 1.3, 1, 5)
    before = np.where(mask[:, :, None] > 0, HOLE_COLOUR, picture)
    return before, restore.load("inpaint")(before, mask > 0)


def painted(datasets: Path) -> tuple[np.ndarray, np.ndarray]:
    picture = denoise.picture(datasets / PAINTED, cv2.IMREAD_COLOR)
    return half(picture, 0.4, 0.45), half(restore.load("photo2paint")(picture), 0.4, 0.45)


def row(
    name: str, method: Callable[[np.ndarray], np.ndarray], pairs: list[tuple[np.ndarray, np.ndarray]], compare: Callable[..., float]
) -> Row:
    """`method` on (given, original) pairs of (H, W, C) pictures."""
    made, seconds, pixels = [], 0.0, 0
    for given, original in pairs:
        start = time.process_time()
        result = method(given)
        seconds += time.process_time() - start
        pixels += result.shape[0] * result.shape[1]
        made.append(compare(result, original))
    return Row(name, float(np.mean(made)), 1e6 * seconds / pixels)


def eight_bit_psnr(result: np.ndarray, original: np.ndarray) -> float:
    return psnr(to_8_bits(result), original)


def denoising(datasets: Path, limit: int) -> Iterator[tuple[str, list[Row]]]:
    """Gray photographs and X-rays."""
    suites = (
        ("Photographs, noise of sigma 25, 8 bits (Set12)", denoise.gray_cases, "set12 sigma 25", "8-bit", "denoise-gray", denoise.bm3d),
        (f"X-rays, {COUNTS} counts", denoise.xray_cases, f"xray {COUNTS} counts", "xray", "denoise-xray", denoise.anscombe(denoise.bm3d)),
    )  # fmt: skip
    for title, cases, case, protocol, weights, bm3d in suites:
        chosen = [(clean, noisy, level) for name, how, clean, noisy, level in cases(datasets, limit) if (name, how) == (case, protocol)]
        levels = {id(noisy): level for _, noisy, level in chosen}
        pairs = [(noisy, clean) for clean, noisy, _ in chosen]
        compare = eight_bit_psnr if protocol == "8-bit" else psnr
        ours = denoise.Ours(weights, blind=True)
        ours(pairs[0][0], levels[id(pairs[0][0])])  # the first picture sets the kernels up
        yield title, [
            row("as it is", lambda noisy: noisy, pairs, compare),
            row("BM3D", lambda noisy, bm3d=bm3d, levels=levels: bm3d(noisy, levels[id(noisy)]), pairs, compare),
            row("restore", lambda noisy, ours=ours, levels=levels: ours(noisy, levels[id(noisy)]), pairs, compare),
        ]  # fmt: skip


def enlarging(datasets: Path, limit: int) -> tuple[str, list[Row]]:
    """Set5, luma, four times as large."""
    pairs = []
    for original in upscale.pictures(datasets, "set5", 4, limit):
        pairs.append((to_8_bits(upscale.on_planes(shrink, original, 4)), original))
    model = restore.load("upscale-x4")
    model(pairs[0][0])
    compare = lambda made, original: upscale.score(upscale.luma(to_8_bits(made)), upscale.luma(original), 4)[0]  # noqa: E731
    return "Enlargement by 4, luma (Set5)", [
        row("cubic kernel", upscale.opencv(cv2.INTER_CUBIC, 4), pairs, compare), row("restore", model, pairs, compare),
    ]  # fmt: skip


def compressed(datasets: Path, limit: int) -> tuple[str, list[Row]]:
    """classic5, JPEG of quality 10."""
    pairs = []
    for path in sorted((datasets / "test/classic5").iterdir())[:limit]:
        original = denoise.picture(path, cv2.IMREAD_GRAYSCALE)
        pairs.append((artifacts.jpeg(original, 10), original))
    model = restore.load("artifacts")
    remove = lambda given: model.remove(given, Quantisation.of_quality(10))[0]  # noqa: E731
    remove(pairs[0][0])
    return "JPEG of quality 10, gray (classic5)", [
        row("as it is", lambda given: given, pairs, eight_bit_psnr), row("restore", remove, pairs, eight_bit_psnr),
    ]  # fmt: skip


def table(datasets: Path, limit: int) -> str:
    """Markdown."""
    lines = ["| pictures | method | PSNR, dB | s / megapixel |", "|---|---|---|---|"]
    for title, rows in [*denoising(datasets, limit), enlarging(datasets, limit), compressed(datasets, limit)]:
        for number, one in enumerate(rows):
            seconds = "" if one.name == "as it is" else f"{one.seconds:.2g}"
            lines.append(f"| {title if number == 0 else ''} | {one.name} | {one.decibels:.2f} | {seconds} |")
            print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--readme", type=Path, default=Path("README.md"))
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    parser.add_argument("--limit", type=int, default=4)
    parser.add_argument("--only", choices=("strips", "table"), default=None)
    options = parser.parse_args()
    if options.only != "table":
        strips = {"xray": xray, "larger": larger, "filled": lambda: filled(options.datasets), "painted": lambda: painted(options.datasets)}
        for name, make in strips.items():
            write(options.images / f"{name}.jpg", *make())
    if options.only != "strips":
        text = options.readme.read_text("utf-8")
        between = re.escape(MARKERS[0]) + ".*?" + re.escape(MARKERS[1])
        made = table(options.datasets, options.limit)
        options.readme.write_text(re.sub(between, lambda _: f"{MARKERS[0]}\n\n{made}\n\n{MARKERS[1]}", text, flags=re.S), "utf-8")


if __name__ == "__main__":
    main()
