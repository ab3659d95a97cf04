"""Does augmentation with generated pictures help a classifier? Chest X-rays, normal or pneumonia, few real pictures a class.

    python benchmarks/augmentation.py DATASET [--generated DIR] [--sizes 50 100 200] [--seeds 5] [--scores FILE.jsonl]

DATASET has train/ and test/ with class folders, DIR class folders of the same names (`restore generate`). Protocol: a convolutional
network of 64 x 64 pixels; for each seed, other pictures of train/ are drawn, the same ones for all contenders; test/ is never trained on.

    real        the pictures alone, EPOCHS epochs
    duplicated  each picture three times in the set: the control, for it trains as long as the following ones
    classic     duplicated, each copy rotated, moved, scaled and changed in brightness and contrast; no left-right flips
    generated   the pictures and twice as many generated ones
    both        the pictures and twice as many generated ones, all changed as in classic
    pretrained  trained on twice as many generated pictures, then on the real ones

A classifier could use sharpness instead of disease: normal originals of the Kermany set were larger. Therefore all pictures, generated
ones too, are resized to 64 x 64 and get one common radial power spectrum, so that each has equal energy in each band of frequencies.
The benchmark prints what a logistic regression reaches with the energies of four bands, before and after this; after it, chance.

Scores are appended to FILE, and runs that it holds are not repeated.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.special import stdtrit
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional as F

from restore.metrics.classifier import Augment, ClassifierConfig, train
from restore.metrics.picture_sets import frames

SIDE, EPOCHS, COPIES = 64, 12, 3
BANDS = (0.1, 0.2, 0.3, 0.4, 0.75)
"""Edges of the bands of `band_energies`, in cycles a pixel."""


@dataclass(frozen=True)
class Pictures:
    """Pictures (N, 1, SIDE, SIDE) and their classes (N,)."""

    pixels: Tensor
    labels: Tensor

    def drawn(self, count: int, random: np.random.Generator) -> Pictures:
        """`count` pictures of each class, without repetition."""
        chosen = [random.permutation(np.flatnonzero(self.labels.numpy() == one))[:count] for one in np.unique(self.labels.numpy())]
        if min(map(len, chosen)) < count:
            raise SystemExit(f"a class has only {min(map(len, chosen))} pictures, {count} are needed")
        index = torch.from_numpy(np.concatenate(chosen))
        return Pictures(self.pixels[index], self.labels[index])

    def __add__(self, other: Pictures) -> Pictures:
        return Pictures(torch.cat([self.pixels, other.pixels]), torch.cat([self.labels, other.labels]))


@dataclass(frozen=True)
class Contender:
    """How a classifier learns.

    Attributes:
        copies: of each real picture.
        generated: generated pictures for each real one.
        augmented: whether the pictures are changed in each step.
        pretrained: whether the generated pictures come first, and the real ones alone afterwards.
    """

    copies: int = 1
    generated: int = 0
    augmented: bool = False
    pretrained: bool = False


CONTENDERS: Mapping[str, Contender] = {
    "real": Contender(),
    "duplicated": Contender(copies=COPIES),
    "classic": Contender(copies=COPIES, augmented=True),
    "generated": Contender(generated=COPIES - 1),
    "both": Contender(generated=COPIES - 1, augmented=True),
    "pretrained": Contender(generated=COPIES - 1, pretrained=True),
}
CONTROL = "duplicated"


def read_classes(folder: Path, classes: list[str]) -> Pictures:
    """The pictures of a folder's class folders, gray, resized by area."""
    pixels, labels = [], []
    for label, name in enumerate(classes):
        found = [frame.mean(2) for _, frame in frames(folder / name, [])]
        pixels += [cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for one in found]
        labels += [label] * len(found)
    return Pictures(torch.from_numpy(np.stack(pixels).astype(np.float32))[:, None], torch.tensor(labels))


def radii() -> np.ndarray:
    """(SIDE, SIDE) int: the ring of each coefficient of the Fourier transform."""
    steps = np.fft.fftfreq(SIDE) * SIDE
    return np.rint(np.hypot(steps[:, None], steps[None])).astype(int)


def ring_amplitudes(pictures: Pictures) -> np.ndarray:
    """(N, rings): the root of the mean power of each ring."""
    power = np.abs(np.fft.fft2(pictures.pixels[:, 0].numpy().astype(np.float64))) ** 2
    rings = radii().ravel()
    counts = np.bincount(rings)
    return np.stack([np.sqrt(np.bincount(rings, one.ravel()) / counts) for one in power])


def equalised(pictures: Pictures, target: np.ndarray) -> Pictures:
    """The pictures with the power of each ring set to that of `target` (rings,); edges and structures stay, sharpness does not."""
    spectrum = np.fft.fft2(pictures.pixels[:, 0].numpy().astype(np.float64))
    gains = target / np.maximum(ring_amplitudes(pictures), 1e-9)
    found = np.fft.ifft2(spectrum * gains[:, radii()]).real
    return Pictures(torch.from_numpy(found.astype(np.float32))[:, None], pictures.labels)


def band_energies(pictures: Pictures) -> np.ndarray:
    """(N, bands): the logarithm of the energy in each band: what "sharpness alone" is."""
    amplitudes = ring_amplitudes(pictures) / SIDE
    frequency = np.arange(amplitudes.shape[1]) / SIDE
    edges = pairwise(BANDS)
    return np.stack([np.log(np.square(amplitudes[:, (frequency >= low) & (frequency < high)]).mean(1) + 1e-12) for low, high in edges], 1)


def sharpness_alone(training: Pictures, test: Pictures) -> tuple[float, float]:
    """Balanced accuracy and AUC on `test` of a logistic regression on `band_energies`."""
    found = band_energies(training), band_energies(test)
    mean, deviation = found[0].mean(0), np.maximum(found[0].std(0), 1e-6)
    inputs = [torch.from_numpy((one - mean) / deviation).float() for one in found]
    weight = torch.zeros(inputs[0].shape[1] + 1, requires_grad=True)
    share = training.labels.float().mean()
    balance = torch.where(training.labels == 1, 1 / share, 1 / (1 - share))
    optimizer = torch.optim.LBFGS([weight], max_iter=200)

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = inputs[0] @ weight[:-1] + weight[-1]
        value = F.binary_cross_entropy_with_logits(logits, training.labels.float(), balance) + 1e-3 * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return scores((inputs[1] @ weight[:-1] + weight[-1]).detach().numpy(), test.labels.numpy())


def scores(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Balanced accuracy, and the area under the ROC curve (Mann-Whitney)."""
    accuracy = np.mean([((logits > 0) == label)[labels == label].mean() for label in (0, 1)])
    positive = int(labels.sum())
    area = (rankdata(logits)[labels == 1].sum() - positive * (positive + 1) / 2) / (positive * (len(labels) - positive))
    return float(accuracy), float(area)


def changed(pixels: Tensor, random: torch.Generator) -> Tensor:
    """Rotate by up to 7 degrees, move by 6 % of the side, scale by 10 %, change contrast and brightness by 15 %."""
    count = len(pixels)

    def uniform(reach: float) -> Tensor:
        return reach * (2 * torch.rand(count, generator=random) - 1)

    angle, scale = uniform(np.pi * 7 / 180), 1 + uniform(0.1)
    rows = [torch.stack([scale * angle.cos(), -scale * angle.sin(), uniform(0.12)], 1)]
    rows.append(torch.stack([scale * angle.sin(), scale * angle.cos(), uniform(0.12)], 1))
    grid = F.affine_grid(torch.stack(rows, 1), list(pixels.shape), align_corners=False)
    moved = F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
    mean = moved.mean((1, 2, 3), keepdim=True)
    shade = [uniform(0.15)[:, None, None, None] for _ in range(2)]
    return (moved - mean) * (1 + shade[0]) + mean * (1 + shade[1])


def unchanged(pixels: Tensor, _random: torch.Generator) -> Tensor:
    return pixels


def learnt(contender: Contender, real: Pictures, made: Pictures | None, seed: int) -> torch.nn.Module:
    """The classifier of one contender and one seed."""
    config = ClassifierConfig(side=SIDE, epochs=EPOCHS, fewest_steps=0, batch_size=32, learning_rate=3e-3, seed=seed)
    augment: Augment = changed if contender.augmented else unchanged
    classes = ("first", "second")
    if contender.pretrained:
        assert made is not None
        first = train(made.pixels, made.labels, classes, config, augment=augment)
        return train(real.pixels, real.labels, classes, config, augment=augment, initial=first)
    whole = real
    for _ in range(contender.copies - 1):
        whole = whole + real
    if contender.generated:
        assert made is not None
        whole = whole + made
    return train(whole.pixels, whole.labels, classes, config, augment=augment)


def runs(options: argparse.Namespace, training: Pictures, test: Pictures, made: Pictures | None) -> Iterator[dict[str, object]]:
    """Train what the file of scores does not hold yet."""
    known = {(row["contender"], row["size"], row["seed"]) for row in saved(options.scores)}
    for seed in range(options.seeds):
        for size in options.sizes:
            real = training.drawn(size, np.random.default_rng((seed, size)))
            extra = made and made.drawn((COPIES - 1) * size, np.random.default_rng((seed, size)))
            for name, contender in CONTENDERS.items():
                if (name, size, seed) in known or (contender.generated and made is None):
                    continue
                network = learnt(contender, real, extra, seed)
                with torch.inference_mode():
                    logits = network(test.pixels)
                accuracy, area = scores((logits[:, 1] - logits[:, 0]).numpy(), test.labels.numpy())
                yield {"contender": name, "size": size, "seed": seed, "accuracy": accuracy, "auc": area}


def saved(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def interval(values: np.ndarray) -> str:
    """Mean and half the 95 % interval (t distribution over the seeds), in percent."""
    if len(values) < 2:
        return f"{100 * values.mean():.1f}"
    return f"{100 * values.mean():.1f} ± {100 * stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / len(values) ** 0.5:.1f}"


def table(rows: list[dict[str, object]]) -> str:
    """Markdown: balanced accuracy and AUC, and the paired difference of the former to the control, by contender and size."""
    found = {(row["contender"], row["size"], row["seed"]): row for row in rows}
    lines = ["| real pictures a class | contender | seeds | balanced accuracy, % | AUC, % | accuracy, difference to duplicated |"]
    lines.append("|---|---|---|---|---|---|")
    for size in sorted({row["size"] for row in rows}):
        for name in CONTENDERS:
            seeds = sorted(seed for contender, count, seed in found if (contender, count) == (name, size))
            if not seeds:
                continue
            accuracy, area = (np.array([found[name, size, seed][key] for seed in seeds]) for key in ("accuracy", "auc"))
            control = np.array([found[CONTROL, size, seed]["accuracy"] for seed in seeds])
            difference = "-" if name == CONTROL else interval(accuracy - control)
            lines.append(f"| {size} | {name} | {len(seeds)} | {interval(accuracy)} | {interval(area)} | {difference} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--generated", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 100, 200])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--scores", type=Path, default=Path("augmentation.jsonl"))
    options = parser.parse_args()
    classes = sorted(path.name for path in (options.dataset / "train").iterdir() if path.is_dir())
    training, test = (read_classes(options.dataset / split, classes) for split in ("train", "test"))
    target = np.sqrt(np.square(ring_amplitudes(training)).mean(0))
    controlled = [equalised(one, target) for one in (training, test)]
    for name, sets in {"as they are": (training, test), "with one spectrum": controlled}.items():
        accuracy, area = sharpness_alone(*sets)
        print(f"sharpness alone, {SIDE} x {SIDE} pictures {name}: balanced accuracy {accuracy:.1%}, AUC {area:.1%}", flush=True)
    made = options.generated and equalised(read_classes(options.generated, classes), target)
    for row in runs(options, controlled[0], controlled[1], made):
        with options.scores.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)
    print(table(saved(options.scores)))


if __name__ == "__main__":
    main()
