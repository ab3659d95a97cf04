"""Quality of colouring: ours next to the gray picture and to one mean colour, on photographs whose colours were removed.

    RESTORE_BACKBONES=FOLDER python benchmarks/colorize.py DATASETS [--weights colorize] [--limit N] [--strength S] [--sheet FILE.png]

DATASETS is the folder with photos/. Protocol: photos/bsds500/val, whole pictures, 8 bits. The input is the luma (ITU-R BT.601), rounded.
Chroma error: mean Euclidean distance in CIELAB's (a, b) plane (D65). LPIPS: AlexNet, version 0.1. Colourfulness: Hasler and Suesstrunk
2003, M3, on the 0..255 scale. The mean colour is that of the training pictures below photos/open and photos/cc, in Cb and Cr. The hint is
the photograph itself, which no user has: it bounds what the palette transfer can do. Luma: pixels whose 8-bit luma is not the input's.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from kornia.color import rgb_to_lab

import restore
from restore.images import luma
from restore.inference.colorizer import Colorizer, palette_of
from restore.metrics import lpips

TEST, TRAIN = "photos/bsds500/val", ("photos/open", "photos/cc")
Method = Callable[[np.ndarray, np.ndarray], np.ndarray]


def chroma(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) in [0, 1] -> (H, W, 2): CIELAB's a and b."""
    planes = torch.from_numpy(picture.transpose(2, 0, 1)[None])
    return rgb_to_lab(planes)[0, 1:].numpy().transpose(1, 2, 0)


def colourfulness(picture: np.ndarray) -> float:
    """M3 of Hasler and Suesstrunk 2003, "Measuring colourfulness in natural images", equation 3."""
    red, green, blue = np.moveaxis(255 * picture.astype(np.float64), 2, 0)
    first, second = red - green, (red + green) / 2 - blue
    return float(np.hypot(first.std(), second.std()) + 0.3 * np.hypot(first.mean(), second.mean()))


def load(path: Path) -> np.ndarray:
    return np.ascontiguousarray(cv2.imread(str(path), cv2.IMREAD_COLOR)[:, :, ::-1]).astype(np.float32) / 255


def mean_colour(root: Path) -> np.ndarray:
    """The mean Cb and Cr of the training pictures."""
    paths = [path for folder in TRAIN for path in sorted((root / folder).glob("*.jpg"))]
    return np.mean([luma.chroma(load(path)).mean((0, 1)) for path in paths], 0).astype(np.float32)


def methods(colorizer: Colorizer, mean: np.ndarray, strength: float) -> dict[str, Method]:
    """Name -> (gray, real) -> result; only the hint looks at the real picture."""

    def coloured(gray: np.ndarray, hint: np.ndarray | None = None) -> np.ndarray:
        palette = None if hint is None else palette_of(hint)
        return colorizer.colorize(gray[:, :, None], strength, hint=palette, levels=255)[0]

    return {
        "gray": lambda gray, real: np.repeat(gray[:, :, None], 3, 2),
        "mean colour": lambda gray, real: luma.with_chroma(gray, np.broadcast_to(mean, (*gray.shape, 2))),
        "colorize": lambda gray, real: coloured(gray),
        "colorize, own hint": coloured,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--weights", default="colorize")
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--sheet", type=Path, help="PNG: rows of gray, ours, real, of 20 pictures")
    options = parser.parse_args()
    contenders = methods(restore.load(options.weights), mean_colour(options.datasets), options.strength)
    paths = sorted((options.datasets / TEST).glob("*.jpg"))[: options.limit]
    scores: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    shown: list[np.ndarray] = []
    for number, path in enumerate(paths):
        real = load(path)
        gray = np.rint(luma.luma(real) * 255).astype(np.float32) / 255
        results = {name: method(gray, real) for name, method in contenders.items()} | {"real": real}
        for name, result in results.items():
            distance = float(np.linalg.norm(chroma(result) - chroma(real), axis=2).mean())
            changed = int((np.rint(luma.luma(result) * 255) != np.rint(gray * 255)).sum())
            scores[name].append((distance, lpips(result, real), colourfulness(result), changed))
        if number % max(1, len(paths) // 20) == 0:
            shown.append(np.concatenate([_fitted(results[name]) for name in ("gray", "colorize", "real")], 1))
    print(f"{len(paths)} pictures of {TEST}")
    for name, values in scores.items():
        distance, perceived, colour, changed = np.mean(values, 0)
        wrong = round(changed * len(values))
        print(f"{name:20} chroma error {distance:6.2f}  LPIPS {perceived:.4f}  colourfulness {colour:5.1f}  luma changed {wrong}")
    if options.sheet:
        cv2.imwrite(str(options.sheet), (np.concatenate(shown)[:, :, ::-1] * 255).round().astype(np.uint8))


def _fitted(picture: np.ndarray, height: int = 240, width: int = 320) -> np.ndarray:
    """The picture inside (height, width), on white."""
    factor = min(height / picture.shape[0], width / picture.shape[1])
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    sheet = np.ones((height, width, 3), np.float32)
    sheet[: small.shape[0], : small.shape[1]] = small
    return sheet


if __name__ == "__main__":
    main()
