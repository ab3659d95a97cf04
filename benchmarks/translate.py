"""Quality of translation on pairs: LPIPS, Fréchet and kernel distance, checkerboards, and a sheet to look at.

    RESTORE_BACKBONES=FOLDER python benchmarks/translate.py SOURCE TARGET [--weights facades] [--sheet FILE.jpg] [--limit N]

SOURCE and TARGET hold pictures of equal names. Protocol: LPIPS (alex) at the pictures' own size against the target of the same name;
FID and KID between all translations and all targets, on features of a stand-in (named beside the numbers): not comparable with
published ones. "blurred" is the target behind a Gaussian of 4 pixels, for scale; "source" the untranslated picture. The checkerboard is
the energy at the finest patterns beside that of its neighbourhood, as a multiple of the targets'.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

import restore
from restore.gan.health import checkerboard
from restore.metrics import SET_METRICS, lpips
from restore.metrics.distribution import STAND_IN, features


def picture(path: Path) -> np.ndarray:
    """(H, W, 3) float32 RGB in [0, 1]."""
    return np.ascontiguousarray(cv2.imread(str(path), cv2.IMREAD_COLOR)[:, :, ::-1]).astype(np.float32) / 255


def tensor(pictures: list[np.ndarray]) -> torch.Tensor:
    """(B, 3, H, W) of pictures of one size."""
    return torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2).copy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--weights", default="facades")
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--sheet", type=Path, help="JPEG: six rows of source | translation | target")
    options = parser.parse_args()
    translator = restore.load(options.weights)
    names = sorted(path.name for path in options.source.iterdir() if (options.target / path.name).is_file())[: options.limit]
    source, target = ([picture(folder / name) for name in names] for folder in (options.source, options.target))
    made = [translator.restore(one)[0] for one in source]
    real = features(target)
    print(f"{len(names)} pictures; FID and KID on {STAND_IN}")
    rows = {"translated": made, "source": source, "blurred": [cv2.GaussianBlur(one, (0, 0), 4) for one in target]}
    for name, pictures in rows.items():
        found = features(pictures)
        distance = np.mean([lpips(one, other) for one, other in zip(pictures, target, strict=True)])
        sets = "  ".join(f"{key} {metric(found, real):9.4f}" for key, metric in SET_METRICS.items())
        print(f"{name:12} LPIPS {distance:.4f}  {sets}")
    print(f"checkerboard {checkerboard(tensor(made)) / checkerboard(tensor(target)):.2f} of the targets'")
    if options.sheet:
        step = max(1, len(names) // 6)
        lines = [np.concatenate([source[i], np.clip(made[i], 0, 1), target[i]], 1) for i in range(0, len(names), step)][:6]
        sheet = (np.concatenate(lines)[:, :, ::-1] * 255).round().astype(np.uint8)
        cv2.imwrite(str(options.sheet), sheet, [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
