"""Quality of translation: LPIPS, Fréchet and kernel distance, checkerboards, and a sheet to look at.

    RESTORE_BACKBONES=FOLDER python benchmarks/translate.py SOURCE TARGET [--weights facades] [--reverse] [--sheet FILE.jpg] [--limit N]

SOURCE and TARGET hold pictures of equal names, or of none: then one to four crops of each picture (256 x 256, or as large as the
smallest picture) stand for the sets, and there is no LPIPS and no sheet; crops of one picture are alike, which biases KID, too.
Protocol: LPIPS (alex) at the pictures' own size against the target of the same name; FID and KID between all translations and all
targets, on features of a stand-in (named next to the numbers): not comparable with published ones. "blurred" is the target behind a
Gaussian of 4 pixels, for scale; "source" the untranslated picture. The checkerboard is the energy at the finest patterns over that of
its neighbourhood, as a multiple of the targets' and of the untranslated pictures', each with its standard error (bootstrap over the
pictures, Efron 1979): a few pictures hold most of the energy, so that twenty of them say little about a tenth more or less.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

from restore.gan.monitor import fine_energy, strongest_pattern
from restore.images import SUFFIXES
from restore.inference.translator import Translator
from restore.metrics import SET_METRICS, lpips
from restore.metrics.extractors import DEFAULT_EXTRACTOR, EXTRACTORS, features


def picture(path: Path) -> np.ndarray:
    """(H, W, 3) float32 RGB in [0, 1]."""
    return np.ascontiguousarray(cv2.imread(str(path), cv2.IMREAD_COLOR)[:, :, ::-1]).astype(np.float32) / 255


def tensor(pictures: list[np.ndarray]) -> torch.Tensor:
    """(B, 3, H, W) of pictures of one size."""
    return torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2).copy())


def crops(pictures: list[np.ndarray], side: int) -> list[np.ndarray]:
    """Crops of the corners, or of the middle along a side too short for two that do not overlap."""

    def spans(length: int) -> list[slice]:
        return [slice(start, start + side) for start in ((0, length - side) if length >= 2 * side else ((length - side) // 2,))]

    return [one[rows, columns] for one in pictures for rows in spans(one.shape[0]) for columns in spans(one.shape[1])]


def checkerboard_ratio(made: torch.Tensor, others: torch.Tensor, draws: int = 1000) -> tuple[float, float]:
    """The checkerboard of (B, 3, H, W) as a multiple of other pictures', and its standard error; of equal numbers, pairs are drawn."""
    random, energies, other_energies = np.random.default_rng(0), fine_energy(made), fine_energy(others)

    def drawn() -> float:
        first = random.integers(0, len(made), len(made))
        second = first if len(made) == len(others) else random.integers(0, len(others), len(others))
        return strongest_pattern(energies[first]) / strongest_pattern(other_energies[second])

    return strongest_pattern(energies) / strongest_pattern(other_energies), float(np.std([drawn() for _ in range(draws)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--weights", default="facades")
    parser.add_argument("--reverse", action="store_true", help="from TARGET to SOURCE, by weights that go both ways")
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--sheet", type=Path, help="JPEG: six rows of source | translation | target")
    options = parser.parse_args()
    folders = (options.target, options.source) if options.reverse else (options.source, options.target)
    translator = Translator.load(options.weights, direction="backward" if options.reverse else None)
    names = [sorted(path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES) for folder in folders]
    shared = names[0] == names[1]
    if not shared and {*names[0]} & {*names[1]}:
        parser.error("the folders share some names but not all: pairs, or two sets?")
    source, target = ([picture(folder / name) for name in found[: options.limit]] for folder, found in zip(folders, names, strict=True))
    made = [translator.translate(one)[0] for one in source]
    rows = {"translated": made, "source": source, "blurred": [cv2.GaussianBlur(one, (0, 0), 4) for one in target]}
    if not shared:
        side = min(256, *(length for one in (*source, *target) for length in one.shape[:2]))
        target, rows = crops(target, side), {name: crops(pictures, side) for name, pictures in rows.items()}
    real = features(target)
    print(f"{len(rows['translated'])} pictures and {len(target)} targets; features: {EXTRACTORS[DEFAULT_EXTRACTOR].protocol}")
    for name, pictures in rows.items():
        found = features(pictures)
        distance = f"LPIPS {np.mean([lpips(one, other) for one, other in zip(pictures, target, strict=True)]):.4f}  " if shared else ""
        sets = "  ".join(f"{key} {metric.function(found, real).value:9.4f}" for key, metric in SET_METRICS.items())
        print(f"{name:12} {distance}{sets}")
    made_crops = tensor(rows["translated"])
    for name, pictures in (("targets", target), ("untranslated pictures", rows["source"])):
        print("checkerboard {:.2f} (standard error {:.2f}) of the {}'".format(*checkerboard_ratio(made_crops, tensor(pictures)), name))
    if options.sheet and shared:
        step = max(1, len(made) // 6)
        lines = [np.concatenate([source[i], np.clip(made[i], 0, 1), target[i]], 1) for i in range(0, len(made), step)][:6]
        sheet = (np.concatenate(lines)[:, :, ::-1] * 255).round().astype(np.uint8)
        cv2.imwrite(str(options.sheet), sheet, [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
