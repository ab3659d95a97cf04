"""Generators of pictures: digits by all methods, a toy of 25 Gaussians, chest X-rays, and the pace.

    python benchmarks/generate.py digits MNIST WORK [--methods gan cgan ...] [--weights NAME=FILE ...] [--count 10000] [--train]
    python benchmarks/generate.py toy [--steps 3000]
    RESTORE_BACKBONES=FOLDER python benchmarks/generate.py xray XRAY WEIGHTS WORK [--sheet FILE.png]
    python benchmarks/generate.py pace WEIGHTS WORK [--count 10000]

digits  MNIST holds mnist_train10k.npz and mnist_t10k.npz. With --train, the methods are trained by `restore train` with the settings in
        DIGITS. Protocol: COUNT pictures of the seeds 0 ... and the 10,000 test digits; features of a small classifier that the benchmark
        trains on the training digits (a stand-in: its FID compares with that of the other rows only); KID, precision, recall, diversity
        and the copy test on 2,000 of each. "real" are the training digits.
        Accuracy: share of the pictures that the classifier reads as the class that was asked for, and imbalance: the largest difference
        of a digit's share from a tenth, in percentage points.
toy     Modes of a 5 x 5 grid that are met within three deviations by one of 2,500 samples at least, and the share of the samples that
        meet one (Srivastava et al. 2017, VEEGAN, section 5.1); perceptrons of two layers, three seeds.
xray    XRAY has train/ and test/ with class folders. As many pictures of each class as test/ holds are generated; all are compared at the
        generator's size. KID, precision and recall on VGG16's features, FID also on those of a small classifier of the classes; the tests
        for copies on the classifier's features and on pixels. "real" are equally many training pictures, "halves" the two halves of test/.
pace    Seconds and the largest resident memory of `restore generate`, beside the network alone in the same run.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

import restore
from restore import weights as catalogue
from restore import weights_file
from restore.gan import objectives, penalties
from restore.metrics.classes import class_accuracy, class_shares
from restore.metrics.classifier import Classifier, ClassifierConfig, train
from restore.metrics.distribution import coverage, density, fid, kid_interval, precision, recall
from restore.metrics.diversity import diversity
from restore.metrics.extractors import EXTRACTORS, Extractor, of_classifier
from restore.metrics.memorisation import copy_report, copy_test
from restore.metrics.picture_sets import frames

DIGITS: Mapping[str, tuple[int, Mapping[str, str]]] = {
    "gan": (6000, {"optimizer.learning_rate": "1e-3", "discriminator.optimizer.learning_rate": "1e-3", "optimizer.ema": "0.998"}),
    "dcgan": (6000, {"optimizer.learning_rate": "1.5e-3", "discriminator.optimizer.learning_rate": "1.5e-3", "optimizer.ema": "0.998"}),
    "wgan": (10000, {"optimizer.learning_rate": "1.5e-3", "discriminator.optimizer.learning_rate": "1.5e-3", "optimizer.ema": "0.998"}),
    "cgan": (4000, {"optimizer.learning_rate": "4e-4", "discriminator.optimizer.learning_rate": "4e-4", "optimizer.ema": "0.998"}),
    "r3gan": (5000, {
        "loop.batch_size": "32", "optimizer.decay_steps": "5000", "discriminator.optimizer.decay_steps": "5000",
        "discriminator.penalty_decay": "5000",
    }),
    "r3gan+dcgan": (2500, {
        "loop.batch_size": "32", "generator.name": "dcgan", "discriminator_network.name": "dcgan", "discriminator_network.norm": "none",
        "discriminator_network.width": "80", "optimizer.learning_rate": "5e-4", "discriminator.optimizer.learning_rate": "5e-4",
        "discriminator.penalty_decay": "0", "discriminator.r1": "0.3", "discriminator.r2": "0.3",
        "optimizer.decay_steps": "2500", "discriminator.optimizer.decay_steps": "2500",
    }),
}  # fmt: skip
"""Method, and whose networks where they are not its own -> steps and settings besides its defaults."""
FOR_ALL = {"precision": "fp32", "optimizer.ema": "0.995", "loop.checkpoint_every": "300", "loop.validate_every": "0"}
RELATED = 2000
"""Pictures of each set for the scores that compare all pairs: KID, precision, recall, diversity and the copy test."""


@dataclass(frozen=True)
class Digits:
    """Digits (N, 28, 28) uint8 and their labels (N,)."""

    images: np.ndarray
    labels: np.ndarray

    @classmethod
    def load(cls, path: Path) -> Digits:
        with np.load(path) as file:
            return cls(file["images"], file["labels"])

    def write(self, folder: Path) -> None:
        """Write them as PNG files into class folders, unless they are there."""
        for number, (image, label) in enumerate(zip(self.images, self.labels, strict=True)):
            path = folder / str(label) / f"{number:05d}.png"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), image)

    def arrays(self) -> Iterator[np.ndarray]:
        """Each as (28, 28, 1) in [0, 1]."""
        return (image[:, :, None].astype(np.float32) / 255 for image in self.images)


def digit_classifier(learnt: Digits, work: Path) -> Classifier:
    """The classifier of this benchmark, kept in `work`."""
    path, config, classes = work / "classifier.pt", ClassifierConfig(), [str(digit) for digit in range(10)]
    if path.is_file():
        network = Classifier(config, 1, classes)
        network.load_state_dict(torch.load(path, weights_only=True))
        return network.eval()
    pixels = torch.from_numpy(np.stack([*learnt.arrays()]).transpose(0, 3, 1, 2).copy())
    network = train(pixels, torch.from_numpy(learnt.labels).long(), classes, config)
    torch.save(network.state_dict(), path)
    return network


def sampled(weights: str | Path, seeds: range) -> tuple[list[np.ndarray], np.ndarray]:
    """The pictures (S, S, C) of the seeds, and the class that was asked for, -1 without classes."""
    generator = restore.load(weights)
    classes = len(generator.labels)
    pictures = [picture for start in range(0, len(seeds), 256) for picture in generator(seeds[start : start + 256])]
    return pictures, np.array([seed % classes if classes else -1 for seed in seeds])


def digits(options: argparse.Namespace) -> None:
    learnt, unseen = (Digits.load(options.mnist / f"mnist_{name}.npz") for name in ("train10k", "t10k"))
    options.work.mkdir(parents=True, exist_ok=True)
    if options.train:
        learnt.write(options.work / "train")
    classifier = digit_classifier(learnt, options.work)
    extractor = of_classifier(classifier, "10,000 digits")
    real = extractor.extract(unseen.arrays())
    print(f"classifier: {class_accuracy(real.logits, unseen.labels).value:.2%} of the test digits; {extractor.protocol}", flush=True)
    named = dict(text.split("=", 1) for text in options.weights)
    print("| method | steps | stand-in FID | KID | precision | recall | diversity | accuracy | imbalance | copies |\n|" + "---|" * 10)
    row("real", "-", [*learnt.arrays()], learnt.labels, extractor, real.vectors, None)
    training = extractor.extract(learnt.arrays()).vectors
    for method in [*options.methods, *named]:
        if options.train and method not in named:
            train_digits(method, options.work / "train", options.work / "runs" / method)
        weights = named.get(method, options.work / "runs" / method)
        steps = str(weights_file.recipe(catalogue.find(weights).path).get("steps", "-"))
        pictures, labels = sampled(weights, range(options.count))
        row(method, steps, pictures, labels, extractor, real.vectors, training)
        write_sheet(pictures[:100], options.work / f"{method}.png")


def train_digits(method: str, dataset: Path, run: Path) -> None:
    steps, settings = DIGITS[method]
    resume = (run / "checkpoint.pt").exists()
    restore.train(method.partition("+")[0], dataset, overrides={**FOR_ALL, **settings, "loop.steps": str(steps)}, out=run, resume=resume)


def row(
    name: str, steps: str, pictures: Sequence[np.ndarray], labels: np.ndarray, extractor: Extractor, real: np.ndarray,
    training: np.ndarray | None,
) -> None:  # fmt: skip
    found = extractor.extract(pictures)
    assert found.logits is not None
    few, some = found.vectors[:RELATED], real[:RELATED]
    accuracy = f"{class_accuracy(found.logits, labels).value:.1%}" if (labels >= 0).any() else "-"
    imbalance = np.abs(class_shares(found.logits) - 0.1).max()
    copies = "-" if training is None else f"C_T {copy_test(few, some, training):.1f}"
    values = [
        f"{fid(found.vectors, real):.3f}", f"{kid_interval(few, some).value:.4f}", f"{precision(few, some):.2f}",
        f"{recall(few, some):.2f}", f"{diversity(few, some):.2f}", accuracy, f"{100 * imbalance:.1f}", copies,
    ]  # fmt: skip
    print(f"| {name} | {steps} | {' | '.join(values)} |", flush=True)


class Perceptron(nn.Sequential):
    """Two hidden layers, for points."""

    def __init__(self, inputs: int, outputs: int, width: int = 128) -> None:
        super().__init__(
            nn.Linear(inputs, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Linear(width, outputs)
        )  # fmt: skip


CENTRES = torch.cartesian_prod(torch.arange(-2.0, 3), torch.arange(-2.0, 3))
DEVIATION, LATENT = 0.05, 8


def toy_points(objective_name: str, gamma: float, steps: int, seed: int) -> Tensor:
    """Samples (2500, 2) of a generator that was trained on the grid; `gamma` weighs R1 and R2."""
    torch.manual_seed(seed)
    objective = objectives.find(objective_name)
    generator, critic = Perceptron(LATENT, 2), Perceptron(2, 1)
    optimizers = [torch.optim.Adam(network.parameters(), 1e-3, betas=(0.5, 0.99)) for network in (generator, critic)]
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps) for optimizer in optimizers]

    def real_points() -> Tensor:
        return CENTRES[torch.randint(25, (256,))] + DEVIATION * torch.randn(256, 2)

    for _ in range(steps):
        real, fake = real_points().requires_grad_(gamma > 0), generator(torch.randn(256, LATENT)).detach().requires_grad_(gamma > 0)
        judged = critic(real), critic(fake)
        loss = objective.discriminator(*judged, 1.0)
        if gamma:
            loss = loss + gamma * sum(
                penalties.squared_gradient(logits, points) for logits, points in zip(judged, (real, fake), strict=True)
            )
        optimizers[1].zero_grad()
        loss.backward()
        optimizers[1].step()
        loss = objective.generator(critic(real_points()), critic(generator(torch.randn(256, LATENT))))
        optimizers[0].zero_grad()
        loss.backward()
        optimizers[0].step()
        for schedule in schedules:
            schedule.step()
    with torch.no_grad():
        return generator(torch.randn(2500, LATENT))


def toy(options: argparse.Namespace) -> None:
    contenders = {"gan": ("vanilla", 0.0), "gan, saturating": ("saturating", 0.0), "r3gan": ("relativistic_pairing", 0.1)}
    print(f"25 Gaussians, {options.steps} steps of 256\n| method | modes, by seed | samples at a mode |\n|---|---|---|")
    for name, (objective, gamma) in contenders.items():
        modes, share = [], []
        for seed in range(3):
            near = torch.cdist(toy_points(objective, gamma, options.steps, seed), CENTRES).min(1)
            met = near.values < 3 * DEVIATION
            modes.append(len(near.indices[met].unique()))
            share.append(float(met.float().mean()))
        print(f"| {name} | {', '.join(map(str, modes))} | {', '.join(f'{one:.0%}' for one in share)} |", flush=True)


def read_reduced(folder: Path, side: int) -> list[np.ndarray]:
    """The pictures under a folder, gray, reduced to side x side by area and rounded to 8 bits as generated ones are."""
    found = [cv2.resize(frame.mean(2), (side, side), interpolation=cv2.INTER_AREA) for _, frame in frames(folder, [])]
    return [(np.rint(255 * one) / 255).astype(np.float32)[:, :, None] for one in found]


def kept_features(path: Path, extractor: Extractor, pictures: Sequence[np.ndarray]) -> np.ndarray:
    """The features of pictures that do not change; read from `path` if it is there."""
    if not path.is_file():
        np.save(path, extractor.extract(pictures).vectors)
    return np.asarray(np.load(path))


def xray(options: argparse.Namespace) -> None:
    options.work.mkdir(parents=True, exist_ok=True)
    generator = restore.load(options.weights)
    names, side = generator.labels, generator.spec.side
    test, learnt = ({name: read_reduced(options.dataset / split / name, side) for name in names} for split in ("test", "train"))
    counts = {name: len(pictures) for name, pictures in test.items()}
    made = {
        name: [*generator(range(number * 10_000, number * 10_000 + counts[name]), name)] for number, name in enumerate(names)
    }  # fmt: skip
    random = np.random.default_rng(0)
    chosen = {name: [learnt[name][index] for index in random.permutation(len(learnt[name]))[: counts[name]]] for name in names}
    sets = {"generated": made, "real": chosen}
    print(f"{sum(counts.values())} pictures of {side} x {side} a set, {', '.join(f'{count} {name}' for name, count in counts.items())}")
    print("| set | features | FID | KID, 95 % interval | precision | recall | density | coverage | diversity |\n|" + "---|" * 9)
    classifier = classifier_of_arrays(learnt)
    extractors = {"classifier": of_classifier(classifier, "the training pictures")}
    extractors |= {} if options.no_vgg else {"vgg16": EXTRACTORS["vgg16"]}
    unseen = flat(test)
    shuffled = [unseen[index] for index in random.permutation(len(unseen))]
    for kind, extractor in extractors.items():
        real = kept_features(options.work / f"test-{kind}-{side}.npy", extractor, shuffled) if kind == "vgg16" else None
        real = extractor.extract(shuffled).vectors if real is None else real
        half = len(real) // 2
        scored("halves", kind, real[:half], real[half:])
        for name, pictures in sets.items():
            keep = kind == "vgg16" and name == "real"
            path = options.work / f"train-{kind}-{side}.npy"
            found = kept_features(path, extractor, flat(pictures)) if keep else extractor.extract(flat(pictures)).vectors
            scored(name, kind, found, real)
    labels = np.repeat(np.arange(len(names)), [counts[name] for name in names])
    for name, pictures in {**sets, "test": test}.items():
        logits = extractors["classifier"].extract(flat(pictures)).logits
        assert logits is not None
        accuracy = class_accuracy(logits, labels)
        print(f"class accuracy of the classifier, {name}: {accuracy.value:.1%} ({accuracy.low:.1%} ... {accuracy.high:.1%})")
    index = copies({"classifier": extractors["classifier"], "pixels": EXTRACTORS["pixels"]}, flat(made), shuffled, flat(learnt))
    if options.sheet:
        everything, shown = flat(learnt), flat(made)
        order = np.linspace(0, len(shown) - 1, 40).astype(int)
        write_sheet([picture for one in order for picture in (shown[one], everything[index[one]])], options.sheet)


def flat(pictures: Mapping[str, Sequence[np.ndarray]]) -> list[np.ndarray]:
    return [picture for one in pictures.values() for picture in one]


def classifier_of_arrays(learnt: Mapping[str, Sequence[np.ndarray]]) -> Classifier:
    pixels = [cv2.resize(picture[:, :, 0], (64, 64), interpolation=cv2.INTER_AREA) for picture in flat(learnt)]
    labels = torch.repeat_interleave(torch.arange(len(learnt)), torch.tensor([len(one) for one in learnt.values()]))
    return train(torch.from_numpy(np.stack(pixels))[:, None], labels, [*learnt], ClassifierConfig(side=64, epochs=10))


def scored(name: str, kind: str, found: np.ndarray, real: np.ndarray) -> None:
    kid = kid_interval(found, real)
    values = [f"{metric(found, real):.2f}" for metric in (precision, recall, density, coverage, diversity)]
    print(
        f"| {name} | {kind} | {fid(found, real):.3f} | {kid.value:.4f}, {kid.low:.4f} ... {kid.high:.4f} | {' | '.join(values)} |",
        flush=True,
    )


def copies(extractors: Mapping[str, Extractor], made: list[np.ndarray], unseen: list[np.ndarray], learnt: list[np.ndarray]) -> np.ndarray:
    """Print the tests for copies; the index of each picture's nearest training picture by the last extractor."""
    for kind, extractor in extractors.items():
        report = copy_report(*(extractor.extract(pictures).vectors for pictures in (made, unseen, learnt)))
        print(
            f"copies, {kind}: C_T {report.c_t:.1f}, distance ratio {report.distance_ratio:.2f}, suspects {report.suspects:.1%}, authentic "
            f"{report.authentic:.1%} (unseen {report.authentic_unseen:.1%}): {report.verdict}", flush=True,
        )  # fmt: skip
    return report.index


def write_sheet(pictures: Sequence[np.ndarray], path: Path, columns: int = 10) -> None:
    """A PNG of pictures (S, S, C) of one size in rows."""
    rows = [np.concatenate(pictures[start : start + columns], 1) for start in range(0, len(pictures) // columns * columns, columns)]
    cv2.imwrite(str(path), np.rint(255 * np.clip(np.concatenate(rows), 0, 1)).astype(np.uint8)[:, :, ::-1])


def pace(options: argparse.Namespace) -> None:
    def largest() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    generator = restore.load(options.weights)
    generator(range(256))
    start = time.process_time()
    generator(range(1024))
    alone = (time.process_time() - start) / 1024
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        first = restore.generate(options.weights, folder, {"count": 256}, device="cpu")
        before, start, wall = largest(), time.process_time(), time.perf_counter()
        second = restore.generate(options.weights, folder, {"count": options.count, "seed": 256}, device="cpu")
        seconds, wall = time.process_time() - start, time.perf_counter() - wall
    assert not first.failed and not second.failed
    times = {"processor": seconds / options.count, "wall": wall / options.count, "processor of the network alone": alone}
    print(f"{options.count} pictures, ms a picture: {', '.join(f'{name} {1000 * one:.2f}' for name, one in times.items())}")
    print(f"largest memory: {before:.0f} MB after 256 pictures, {largest():.0f} MB after all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("digits")
    command.set_defaults(run=digits)
    command.add_argument("mnist", type=Path)
    command.add_argument("work", type=Path)
    command.add_argument("--methods", nargs="*", default=[*DIGITS])
    command.add_argument("--weights", nargs="*", default=[])
    command.add_argument("--count", type=int, default=10_000)
    command.add_argument("--train", action="store_true")
    command = commands.add_parser("toy")
    command.set_defaults(run=toy)
    command.add_argument("--steps", type=int, default=3000)
    command = commands.add_parser("xray")
    command.set_defaults(run=xray)
    command.add_argument("dataset", type=Path)
    command.add_argument("weights")
    command.add_argument("work", type=Path)
    command.add_argument("--sheet", type=Path, help="PNG: 40 generated pictures, each beside the nearest training picture by its pixels")
    command.add_argument("--no-vgg", action="store_true", help="without VGG16's features")
    command = commands.add_parser("pace")
    command.set_defaults(run=pace)
    command.add_argument("weights")
    command.add_argument("work", type=Path)
    command.add_argument("--count", type=int, default=10_000)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
