"""How far confidence maps of upscaling can be trusted: rank correlation with the true error, coverage of the 90 % bound, cost, warnings.

    python benchmarks/upscaling_confidence.py DATASETS [--weights FILE] [--scales 2,4] [--limit N] [--degraded] [--maps DIR]

Pictures that neither the upscalers nor the heads saw: those of photos/open that `train_upscaling_confidence.py` leaves out (x2), BSD100 and
Set14, downscaled by the antialiased cubic kernel and rounded to 8 bits. Columns, each a mean over pictures: see `confidence.py`; `all` rows
pool all pictures of a band. With --degraded, also noisy, soft and JPEG input of the first set: how many get a warning, and what is covered
with and without one. With --maps, a sheet of result, true error and map of three pictures.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from confidence import blurred, rank
from train_upscaling_confidence import HEADS, Head, crop, split

from restore import runtime, weights
from restore.datasets.degrade import gaussian, jpeg, to_8_bits
from restore.datasets.downscaling import bicubic
from restore.inference.confidence import TASK, WEIGHTS
from restore.inference.loading import InferenceOptions, find_weights
from restore.inference.upscaler import Upscaler
from restore.inference.upscaling_confidence import UpscalingConfidence
from restore.tasks.upscale import FAITHFUL

Degradation = Callable[[np.ndarray], np.ndarray]
DEGRADED: Mapping[str, Degradation] = {
    **{f"noise {sigma}": lambda x, s=sigma: gaussian(x, s / 255, np.random.default_rng(0))[0] for sigma in (2, 4, 8)},  # type: ignore[misc]
    **{f"blur {sigma}": lambda x, s=sigma: cv2.GaussianBlur(x, (0, 0), s).reshape(x.shape) for sigma in (0.6, 1.0)},  # type: ignore[misc]
    **{f"jpeg {quality}": lambda x, q=quality: jpeg(x, q) for quality in (95, 85, 70)},  # type: ignore[misc]
}
"""What happens to the small picture."""


@dataclass(frozen=True)
class Row:
    """One picture: means over its pixels, and seconds of the network and of the maps."""

    level: float
    rank: float
    blurred: float
    covered: float
    error: float
    psnr: float
    map_psnr: float
    doubts: tuple[str, ...]
    seconds: tuple[float, float]


def pictures(root: Path, head: Head, limit: int | None) -> Iterator[tuple[str, np.ndarray]]:
    """(set, (H, W, 3) float32 in [0, 1], sides multiples of 8)."""
    for path in split(root, head)[2][:limit]:
        yield "photos", crop(path, 512, np.random.default_rng(1))
    for name, folder in (("bsd100", "photos/bsds500/val"), ("set14", "test/set14")):
        for path in sorted((root / folder).glob("*.*g"))[:limit]:
            pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)[:, :, ::-1]
            height, width = (side // 8 * 8 for side in pixels.shape[:2])
            yield name, np.ascontiguousarray(pixels[:height, :width]).astype(np.float32) / 255


def measure(clean: np.ndarray, small: np.ndarray, upscaler: Upscaler, estimator: UpscalingConfidence) -> tuple[Row, list[np.ndarray]]:
    """The figures, and result, true error and maps."""
    since = time.perf_counter()
    restored = upscaler.upscale(small)[0]
    done = time.perf_counter()
    maps = estimator(small, restored, upscaler.runner.range_of(small))
    seconds = (done - since, time.perf_counter() - done)
    difference = np.clip(restored, 0, 1) - clean
    error = np.abs(difference).mean(axis=2)
    level = estimator.examine(small, restored, upscaler.runner.range_of(small))[1].level
    row = Row(
        level, rank(maps.expected, error), rank(blurred(maps.expected), blurred(error)), float((error <= maps.bound).mean()),
        float(error.mean() / maps.expected.mean()), float(-10 * np.log10(np.square(difference).mean())), maps.psnr or np.nan, maps.doubts,
        seconds,
    )  # fmt: skip
    return row, [restored, error, maps.expected, maps.bound]


def line(name: str, rows: list[Row]) -> str:
    rank_, blurred_, covered, error = (np.mean([row.__dict__[key] for row in rows]) for key in ("rank", "blurred", "covered", "error"))
    off = [row.map_psnr - row.psnr for row in rows]
    cost = np.sum([row.seconds for row in rows], axis=0)
    sure, warned = ([row.covered for row in rows if bool(row.doubts) is doubted] for doubted in (False, True))
    parts = " ".join(f"{text} {np.mean(part):6.1%} ({len(part)})" for text, part in (("promised", sure), ("warned", warned)) if part)
    return (
        f"{name:22} n={len(rows):3} rank {rank_:.2f} blurred {blurred_:.2f} covered {covered:6.1%} error {error:.2f} "
        f"psnr {np.mean(off):+.2f} +-{np.std(off):.2f} cost {cost[1] / cost[0]:5.1%} {parts}"
    )


def sheet(path: Path, parts: list[np.ndarray]) -> None:
    """Result, true error, expected error and bound side by side; errors eight times as bright."""
    shown = [np.repeat(np.clip(part if part.ndim == 3 else 8 * part[:, :, None], 0, 1), 3 // (part.shape[2] if part.ndim == 3 else 1), 2)
             for part in parts]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), (255 * np.concatenate(shown, 1)[:, :, ::-1]).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--weights", default=WEIGHTS)
    parser.add_argument("--scales", default="2,4")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--degraded", action="store_true")
    parser.add_argument("--maps", type=Path)
    options = parser.parse_args()
    entry: weights.Entry = find_weights(options.weights, TASK)
    chosen = runtime.choose()
    print(f"{torch.get_num_threads()} threads, {chosen.precision}")
    for scale in map(int, options.scales.split(",")):
        upscaler = Upscaler.load(FAITHFUL[scale], InferenceOptions(chosen))
        estimator = UpscalingConfidence.load(entry.path, FAITHFUL[scale], chosen)
        assert estimator.head.calibration is not None
        rows: dict[str, list[Row]] = defaultdict(list)
        head = HEADS[FAITHFUL[scale]]
        first = "bsd100" if head.calibration else "photos"
        for number, (name, clean) in enumerate(pictures(options.datasets, head, options.limit)):
            small = to_8_bits(bicubic(clean, scale))
            row, parts = measure(clean, small, upscaler, estimator)
            rows[name].append(row)
            band = next((one for one in estimator.head.calibration.bands if one.low <= row.level < one.high), None)
            rows[f"all {band.low:g}..{band.high:g}" if band else "all outside"].append(row)
            if options.maps and name == first and number < 3:
                sheet(options.maps / f"x{scale}-{number}.png", parts)
            if options.degraded and name == first:
                for kind, degraded in DEGRADED.items():
                    rows[kind].append(measure(clean, to_8_bits(degraded(small)), upscaler, estimator)[0])
        for name, found in rows.items():
            print(line(f"x{scale} {name}", found), flush=True)


if __name__ == "__main__":
    main()
