"""Quality and speed of enlargement: the tables of the literature, ours next to the cubic, Lanczos and OpenCV's kernels.

    python benchmarks/upscale.py DATASETS [--scale 4] [--weights faithful] [--sets set5,set14,bsd100] [--limit N] [--lpips] [--float32]

DATASETS is the folder with test/ and photos/. Protocol: pictures cut to multiples of the scale, shrunk in RGB by the antialiased cubic
kernel (MATLAB's imresize; on Y and unrounded for the self-test row, in 8 bits for all else), enlarged, rounded to 8 bits; PSNR and SSIM on
the rounded Y of YCbCr (BT.601, 16..235) with as many pixels cut off at every border as the scale; LPIPS (alex) in colour over the whole
picture. Seconds are for a megapixel of the result. The first row must be 33.66 / .9299 (x2) and 28.42 / .8104 (x4) on Set5, or nothing
here is to be believed.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

import restore
from restore.metrics import psnr, ssim
from restore.networks.resample import enlarge, shrink
from restore.tasks.upscale import FAITHFUL, PHOTO

Method = Callable[[np.ndarray], np.ndarray]
SETS = {"set5": "test/set5", "set14": "test/set14", "bsd100": "photos/bsds500/val"}


def pictures(root: Path, name: str, scale: int, limit: int | None) -> Iterator[np.ndarray]:
    """(H, W, 3) float32 RGB in [0, 1], sides multiples of the scale; of BSD100 the 480 x 320 at the top left."""
    for path in sorted((root / SETS[name]).glob("*.*g"))[:limit]:
        pixels = np.ascontiguousarray(cv2.imread(str(path), cv2.IMREAD_COLOR)[:, :, ::-1]).astype(np.float32) / 255
        if name == "bsd100":
            pixels = pixels[:480, :320] if pixels.shape[0] > pixels.shape[1] else pixels[:320, :480]
        height, width = (side // scale * scale for side in pixels.shape[:2])
        yield pixels[:height, :width]


def luma(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) RGB -> (H, W, 1), 16..235 of 255, rounded as MATLAB's rgb2ycbcr does for 8 bits, in units of 255."""
    return np.round(16 + picture.astype(np.float64) @ np.array([65.481, 128.553, 24.966]))[:, :, None] / 255


def on_planes(function: Callable[[torch.Tensor, int], torch.Tensor], picture: np.ndarray, scale: int) -> np.ndarray:
    """One of `resample`'s functions on (H, W, C)."""
    planes = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
    return np.ascontiguousarray(function(planes, scale)[0].numpy().transpose(1, 2, 0))


def opencv(kind: int, scale: int) -> Method:
    """One of OpenCV's kernels."""
    return lambda small: cv2.resize(small, None, fx=scale, fy=scale, interpolation=kind)


def score(made: np.ndarray, wanted: np.ndarray, scale: int) -> tuple[float, float]:
    """PSNR and SSIM of two luma planes."""
    return psnr(made, wanted, border=scale), ssim(made, wanted, border=scale)


def self_test(root: Path, name: str, scale: int, limit: int | None) -> tuple[float, float]:
    """The cubic kernel as all papers measure it: on Y alone, the small picture unrounded."""
    found = []
    for picture in pictures(root, name, scale, limit):
        wanted = luma(picture)
        made = on_planes(enlarge, on_planes(shrink, wanted, scale), scale)
        found.append(score(np.round(np.clip(made, 0, 1) * 255) / 255, wanted, scale))
    return float(np.mean([one for one, _ in found])), float(np.mean([other for _, other in found]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--weights", default="faithful", help="faithful, photo, a name or a file; several with commas")
    parser.add_argument("--sets", default="set5,set14,bsd100")
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--lpips", action="store_true", help="LPIPS too (alex), with RESTORE_BACKBONES or torchvision's download")
    parser.add_argument("--float32", action="store_true", help="ours in float32 too")
    options = parser.parse_args()
    scale = options.scale
    families = {"faithful": FAITHFUL, "photo": PHOTO}
    methods: dict[str, Method] = {
        "cubic": lambda small: on_planes(enlarge, small, scale),
        "opencv cubic": opencv(cv2.INTER_CUBIC, scale),
        "lanczos": opencv(cv2.INTER_LANCZOS4, scale),
    }
    for name in options.weights.split(","):
        file = families[name][scale] if name in families else name
        methods[Path(name).stem] = restore.load(file)
        if options.float32:
            methods[f"{Path(name).stem}, float32"] = restore.load(file, precision="fp32")
    if options.lpips:
        from restore.metrics import lpips
    for name in options.sets.split(","):
        decibels, similarity = self_test(options.datasets, name, scale, options.limit)
        print(f"{name} x{scale} self-test: cubic {decibels:.2f} / {similarity:.4f}")
        found: dict[str, list[tuple[float, ...]]] = defaultdict(list)
        for picture in pictures(options.datasets, name, scale, options.limit):
            small = np.round(np.clip(on_planes(shrink, picture, scale), 0, 1) * 255).astype(np.float32) / 255
            for method, run in methods.items():
                since = time.perf_counter()
                made = run(small)
                took = (time.perf_counter() - since) / picture[..., 0].size * 1e6
                made = np.round(np.clip(made, 0, 1) * 255).astype(np.float32) / 255
                apart = lpips(made, picture) if options.lpips else np.nan
                found[method].append((*score(luma(made), luma(picture), scale), took, apart))
        for method, rows in found.items():
            means = np.mean(rows, 0)
            quality = f"{means[0]:6.2f} dB  SSIM {means[1]:.4f}  LPIPS {means[3]:.4f}"
            print(f"  {method:24} {quality}  {means[2]:6.3f} s/megapixel  n={len(rows)}")


if __name__ == "__main__":
    main()
