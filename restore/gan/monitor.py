"""The failure modes of adversarial training, measured during the run and reported in plain English.

Each measure is a small function. `TrainingMonitor` keeps their history and reports one that was bad for long enough to matter.
It is silent on a healthy run.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.gan.objectives import Objective
from restore.limits import check_fields
from restore.training.train_state import StateDict, TrainState, evaluating
from restore.training.trainer import Diagnosis


@dataclass(frozen=True)
class MonitorConfig:
    """When a measure counts as a failure mode."""

    on_collapse: Literal["warn", "stop", "rollback"] = field(
        default="warn",
        metadata={"help": "after a collapse: warn, stop, or return to the last checkpoint without one, with half the learning rates"},
    )
    every: int = field(default=100, metadata={"help": "steps between two checks", "range": (1, 1_000_000_000)})
    patience: int = field(default=5, metadata={"help": "bad checks in a row before anything is reported", "range": (1, 1_000_000)})
    collapse: float = field(
        default=0.35,
        metadata={
            "help": "collapse: the diversity of fake images, relative to real ones, is below this",
            "range": (0, 1e12),
        },
    )
    won: float = field(default=0.98, metadata={"help": "discriminator won: its accuracy is above this", "range": (0, 1)})
    lost: float = field(default=0.52, metadata={"help": "discriminator lost: its accuracy is below this", "range": (0, 1)})
    vanishing: float = field(
        default=1e-4,
        metadata={"help": "the generator's gradient norm, relative to its median, is below this", "range": (0, 1)},
    )
    exploding: float = field(default=1e3, metadata={"help": "any gradient norm, relative to its median, is above this", "range": (1, 1e30)})
    checkerboard: float = field(
        default=3.0,
        metadata={"help": "energy at the finest pattern, relative to real images, is above this", "range": (0, 1e12)},
    )
    inversion: float = field(default=-0.3, metadata={"help": "the brightness correlation with the source is below this", "range": (-1, 1)})

    def __post_init__(self) -> None:
        check_fields(self)


REMEDIES: Mapping[str, str] = {
    "collapse": "the fake images are nearly all alike (mode collapse): lower the generator's rate, add r1 or label noise, or use the "
    "wasserstein objective with a gradient penalty",
    "won": "the discriminator recognises every image and the generator learns nothing more from it: lower its rate, add label smoothing "
    "or r1, or augment its input",
    "lost": "the discriminator can no longer tell fake from real: raise its rate or its width, or give it more steps",
    "vanishing": "the generator's gradient has vanished: use the non-saturating, hinge or wasserstein objective",
    "exploding": "a gradient has exploded: lower the rates or set `clip`",
    "checkerboard": "the fake images show a checkerboard: use upsample = resize or smooth",
    "inversion": "bright became dark in the translation: raise identity_weight",
    "nan": "a gradient is not a number: resume from the last checkpoint with lower rates, or in fp32",
}
"""Failure mode -> what it is and what to do about it."""
MIN_HISTORY = 20
"""Gradient norms that are needed before their median says anything."""
SMALLEST_SPECTRUM = 10
"""Pixels; in the spectrum of a shorter side the finest pattern has no neighbourhood of its own."""


class TrainingMonitor:
    """Keeps the history of measures and reports failure modes.

    Args:
        config: the thresholds.
    """

    def __init__(self, config: MonitorConfig | None = None) -> None:
        self.config = config or MonitorConfig()
        self.bad_checks: dict[str, int] = defaultdict(int)
        self.reported: set[str] = set()
        self.norms: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=200))
        self.passed = -1

    def diagnose(self, step: int, measure: Callable[[], Mapping[str, float]]) -> list[Diagnosis]:
        """Call `measure` and check its result every `config.every` steps."""
        return self.check(step, measure()) if step % self.config.every == 0 else []

    def check(self, step: int, measures: Mapping[str, float]) -> list[Diagnosis]:
        """Check one set of measures.

        Args:
            step: when they were taken.
            measures: any of "diversity" and "checkerboard" (relative to real images), "accuracy real", "accuracy fake", "gradient
                generator", "gradient discriminator" and "brightness correlation"; with a prefix ("forward ...") for several networks.

        Returns:
            The failure modes that showed now and were not reported before; one that has passed may be reported again.
        """
        present = self._failure_modes(measures)
        if "collapse" not in present:
            self.passed = step
        diagnoses = []
        for mode, remedy in REMEDIES.items():
            self.bad_checks[mode] = self.bad_checks[mode] + 1 if mode in present else 0
            needed = 1 if mode == "exploding" else self.config.patience  # fp16 skips a step with a broken gradient now and then
            if self.bad_checks[mode] >= needed and mode not in self.reported:
                self.reported.add(mode)
                diagnoses.append(Diagnosis(mode, step, remedy, self.config.on_collapse if mode == "collapse" else "warn"))
            elif self.bad_checks[mode] == 0:
                self.reported.discard(mode)
        return diagnoses

    def passed_check(self, step: int) -> bool:
        """Whether a check at `step` found no collapse; True where a collapse is not rolled back."""
        return self.config.on_collapse != "rollback" or self.passed == step

    def scale_learning_rate(self, states: Iterable[TrainState]) -> None:
        """Halve every learning rate after a collapse, and restart the count of bad checks.

        Raises:
            ValueError: it was halved too often to help.
        """
        for state in states:
            try:
                state.scale_learning_rate()
            except ValueError as error:
                raise ValueError(f"{error}: {REMEDIES['collapse']}") from error
        self.bad_checks.clear()

    def state_dict(self) -> StateDict:
        """Return the history."""
        norms = {name: list(history) for name, history in self.norms.items()}
        return {"bad_checks": dict(self.bad_checks), "reported": sorted(self.reported), "norms": norms}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore what `state_dict` returned."""
        self.passed = -1
        self.bad_checks = defaultdict(int, state["bad_checks"])
        self.reported = set(state["reported"])
        self.norms.clear()
        for name, history in state["norms"].items():
            self.norms[name].extend(history)

    def _failure_modes(self, measures: Mapping[str, float]) -> set[str]:
        config, present = self.config, set()
        for name, value in measures.items():
            if name.endswith("diversity") and value < config.collapse:
                present.add("collapse")
            if name.endswith("checkerboard") and value > config.checkerboard:
                present.add("checkerboard")
            if name.endswith("brightness correlation") and value < config.inversion:
                present.add("inversion")
            if name.endswith("accuracy real"):
                accuracies = (value, measures.get(name.removesuffix("real") + "fake", value))
                present |= {"won"} if min(accuracies) > config.won else set()
                present |= {"lost"} if sum(accuracies) / 2 < config.lost else set()
            if "gradient" in name:
                present |= self._gradient_failures(name, value)
        return present

    def _gradient_failures(self, name: str, norm: float) -> set[str]:
        """Compare a gradient norm with the median of its history."""
        history = self.norms[name]
        median = sorted(history)[len(history) // 2] if len(history) >= MIN_HISTORY else None
        if not math.isfinite(norm):
            return {"nan"}
        if median is None or median == 0:
            history.append(norm)
            return set()
        if norm > self.config.exploding * median:
            return {"exploding"}
        if norm < self.config.vanishing * median and "generator" in name:
            return {"vanishing"}
        history.append(norm)
        return set()


class MonitoredDiscriminator(Protocol):
    """What the monitor reads of a discriminator's trainer: its objective, its state, and the accuracies of its last step."""

    objective: Objective
    state: TrainState
    stats: dict[str, Tensor]


def measures(
    generator: TrainState, discriminator: MonitoredDiscriminator, probe: Mapping[str, Tensor] | None,
    images: Callable[[Mapping[str, Tensor]], tuple[Tensor, ...]],
) -> dict[str, float]:  # fmt: skip
    """All measures of a generator and its discriminator.

    Args:
        generator, discriminator: as they stand.
        probe: a batch; None measures no images.
        images: probe on the device -> the arguments of `image_measures`. The generator is in evaluation mode meanwhile.
    """
    measured = network_measures(generator, discriminator)
    if probe is not None:
        with torch.no_grad(), evaluating(generator.network):
            moved = {name: tensor.to(generator.runtime.device, non_blocking=True) for name, tensor in probe.items()}
            measured |= image_measures(*images(moved))
    return measured


def network_measures(generator: TrainState, discriminator: MonitoredDiscriminator) -> dict[str, float]:
    """The discriminator's accuracy, where its objective can be won, and both gradient norms."""
    stats = discriminator.stats if discriminator.objective.can_be_won else {}
    measures = {name: float(value) for name, value in stats.items() if name.startswith("accuracy")}
    measures["gradient generator"] = float(generator.gradient_norm)
    measures["gradient discriminator"] = float(discriminator.state.gradient_norm)
    return measures


def image_measures(fake: Tensor, real: Tensor, source: Tensor | None = None) -> dict[str, float]:
    """The measures of a probe batch, all (B, C, H, W): fake images, real ones of the same domain, and what was translated.

    Images with a side below SMALLEST_SPECTRUM have no "checkerboard".
    """
    measures = {"diversity": diversity(fake) / max(diversity(real), 1e-6)}
    if min(fake.shape[2:]) >= SMALLEST_SPECTRUM:
        measures["checkerboard"] = checkerboard(fake) / max(checkerboard(real), 1e-6)
    return measures | ({"brightness correlation": brightness_correlation(source, fake)} if source is not None else {})


def diversity(images: Tensor) -> float:
    """The mean distance of two images of a batch (B, C, H, W), averaged down to at most 16 x 16."""
    side = (min(16, images.shape[-2]), min(16, images.shape[-1]))
    points = F.adaptive_avg_pool2d(images.float(), side).flatten(1)
    return float(torch.pdist(points).mean()) if len(points) > 1 else 0.0


def checkerboard(images: Tensor) -> float:
    """Energy at the Nyquist frequency (horizontal, vertical or both), relative to its neighbourhood in the spectrum.

    Odena et al. 2016: the artefact of transposed convolutions. About 1 for noise; the largest of the three ratios, for (B, C, H, W).
    """
    return strongest_pattern(fine_energy(images))


def strongest_pattern(energy: Tensor) -> float:
    """The largest of the three energy ratios, of the means over the images; `energy` is what `fine_energy` returns."""
    patterns, neighbourhood = energy.mean(0).unbind(1)
    return float((patterns / neighbourhood.clamp_min(1e-12)).max())


def fine_energy(images: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 3, 2): for each image and Nyquist pattern its energy and that of its neighbourhood.

    A Hann window fades the borders: the jump from one side to the other would count as a fine pattern. H and W are at least
    SMALLEST_SPECTRUM.
    """
    height, width = (length // 2 * 2 for length in images.shape[2:])
    gray = images.float().mean(1)[:, :height, :width]
    gray = gray - gray.mean((1, 2), keepdim=True)
    window = [torch.hann_window(length, device=gray.device) for length in (height, width)]
    spectrum = torch.fft.fft2(gray * torch.outer(*window)).abs().square()
    # roll so that the neighbourhoods of the frequencies 0 and Nyquist are whole
    rolled = torch.roll(spectrum, (4, 4), (1, 2))
    energies = []
    for row, column in ((height // 2, 0), (0, width // 2), (height // 2, width // 2)):
        around = rolled[:, row % height : row % height + 9, column % width : column % width + 9]
        middle = torch.zeros_like(around[0], dtype=torch.bool)
        middle[3:6, 3:6] = True  # the window spreads a peak so far
        neighbourhood = ~middle
        # the lines through frequency 0 hold the image itself: a peak on them is compared with the same line
        if column == 0:
            neighbourhood[:, [0, 1, 2, 6, 7, 8]] = False
        if row == 0:
            neighbourhood[[0, 1, 2, 6, 7, 8]] = False
        energies.append(torch.stack([around[:, middle].mean(1), around[:, neighbourhood].mean(1)], 1))
    return torch.stack(energies, 1)


def brightness_correlation(source: Tensor, output: Tensor) -> float:
    """Correlation of the brightness of images and their translations, averaged over the batch; -1..1."""
    first, second = (F.adaptive_avg_pool2d(x.float().mean(1, keepdim=True), 16).flatten(1) for x in (source, output))
    first, second = (x - x.mean(1, keepdim=True) for x in (first, second))
    return float(F.cosine_similarity(first, second, dim=1).mean())
