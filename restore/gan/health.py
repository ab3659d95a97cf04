"""What every introduction to adversarial training warns of, measured while it runs and told in plain English.

Each measure is a small function; `HealthWatch` remembers their course and says when one has been bad for long enough to matter. It
stays silent on a healthy run.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.gan.core import Player
from restore.gan.opponent import Opponent


@dataclass(frozen=True)
class HealthConfig:
    """When a measure is an illness."""

    on_collapse: Literal["warn", "stop", "rollback"] = field(
        default="warn",
        metadata={"help": "after a collapse: say so, stop, or go on from the last checkpoint with half of the rates"},
    )
    every: int = field(default=100, metadata={"help": "steps between two looks", "range": (1, 1_000_000_000)})
    patience: int = field(default=5, metadata={"help": "looks in a row that must be bad before anything is said", "range": (1, 1_000_000)})
    collapse: float = field(
        default=0.35, metadata={"help": "diversity of made pictures, of that of real ones, below which they are alike", "range": (0, 1e12)}
    )
    won: float = field(default=0.98, metadata={"help": "share of pictures known above which the discriminator has won", "range": (0, 1)})
    lost: float = field(default=0.52, metadata={"help": "share of pictures known below which it has lost", "range": (0, 1)})
    vanishing: float = field(
        default=1e-4, metadata={"help": "generator's gradient, of its own past, below which it has vanished", "range": (0, 1)}
    )
    exploding: float = field(
        default=1e3, metadata={"help": "any gradient, of its own past, above which it has exploded", "range": (1, 1e30)}
    )
    checkerboard: float = field(
        default=3.0, metadata={"help": "energy at the finest pattern, of real pictures', that shows", "range": (0, 1e12)}
    )
    inversion: float = field(
        default=-0.3, metadata={"help": "correlation with the source below which bright became dark", "range": (-1, 1)}
    )


@dataclass(frozen=True)
class Verdict:
    """One illness, told once.

    Attributes:
        kind: collapse, won, lost, vanishing, exploding, checkerboard, inversion or nan.
        step: when.
        text: what it is and what can be done.
        action: what the run should do: warn, stop or rollback.
    """

    kind: str
    step: int
    text: str
    action: str = "warn"

    def __str__(self) -> str:
        return f"step {self.step}: {self.text}"


MENDS: Mapping[str, str] = {
    "collapse": "the made pictures are nearly all alike (mode collapse): lower the generator's rate, add r1 or label noise, or "
    "take the wasserstein objective with a gradient penalty",
    "won": "the discriminator tells every picture apart and the generator learns nothing more from it: lower its rate, add label "
    "smoothing or r1, or augment what it sees",
    "lost": "the discriminator can no longer tell made from real: raise its rate or its width, or give it more steps",
    "vanishing": "the generator's gradient has all but vanished: take the non-saturating, hinge or wasserstein objective",
    "exploding": "a gradient has exploded: lower the rates or set `clip`",
    "checkerboard": "the made pictures carry a checkerboard: use upsample = resize or smooth",
    "inversion": "bright has become dark in the translation: raise identity_weight",
    "nan": "a gradient is no longer a number: resume from the last checkpoint with lower rates, or in fp32",
}


SOFTEST = 1 / 16
"""The share of the rates below which no rollback is tried again."""


class Examined(Protocol):
    """A trainer as the watch sees it."""

    def measures(self) -> Mapping[str, float]:
        """What `HealthWatch.look` takes."""


class HealthWatch:
    """Remembers measures and tells illnesses.

    Args:
        config: the thresholds.
    """

    def __init__(self, config: HealthConfig | None = None) -> None:
        self.config = config or HealthConfig()
        self.bad: dict[str, int] = defaultdict(int)
        self.told: set[str] = set()
        self.norms: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=200))

    def look(self, step: int, measures: Mapping[str, float]) -> list[Verdict]:
        """Take one look.

        Args:
            step: when.
            measures: any of "diversity" (of made, as a share of real), "knew real", "knew made", "gradient generator",
                "gradient discriminator", "checkerboard" (as a multiple of real) and "likeness" (correlation with the source);
                several players' with a prefix ("forward knew real").

        Returns:
            The illnesses that were found now and not told before; one that has passed may be told again.
        """
        found = self._ill(measures)
        verdicts = []
        for kind in MENDS:
            self.bad[kind] = self.bad[kind] + 1 if kind in found else 0
            needed = 1 if kind == "exploding" else self.config.patience  # fp16 skips a step with a broken gradient now and then
            if self.bad[kind] >= needed and kind not in self.told:
                self.told.add(kind)
                action = self.config.on_collapse if kind == "collapse" else "warn"
                verdicts.append(Verdict(kind, step, MENDS[kind], action))
            elif self.bad[kind] == 0:
                self.told.discard(kind)
        return verdicts

    def examine(self, step: int, trainer: Examined) -> list[Verdict]:
        """Look at a trainer every so many steps."""
        return self.look(step, trainer.measures()) if step % self.config.every == 0 else []

    def soften(self, players: Iterable[Player]) -> None:
        """After a collapse: halve every player's rate, and look afresh.

        Raises:
            ValueError: it has been halved so often that the run cannot be saved so.
        """
        for player in players:
            if player.softened <= SOFTEST:
                raise ValueError(
                    f"the run collapses again and again, at {player.softened:g} of its rates too: {MENDS['collapse']}"
                )
            player.softened /= 2
        self.bad.clear()

    def state_dict(self) -> dict[str, Any]:
        """What was seen so far."""
        return {"bad": dict(self.bad), "told": sorted(self.told), "norms": {name: list(past) for name, past in self.norms.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Undo `state_dict`."""
        self.bad = defaultdict(int, state["bad"])
        self.told = set(state["told"])
        self.norms.clear()
        for name, past in state["norms"].items():
            self.norms[name].extend(past)

    def _ill(self, measures: Mapping[str, float]) -> set[str]:
        config, found = self.config, set()
        for name, value in measures.items():
            if name.endswith("diversity") and value < config.collapse:
                found.add("collapse")
            if name.endswith("checkerboard") and value > config.checkerboard:
                found.add("checkerboard")
            if name.endswith("likeness") and value < config.inversion:
                found.add("inversion")
            if name.endswith("knew real"):
                both = (value, measures.get(name.removesuffix("real") + "made", value))
                found |= {"won"} if min(both) > config.won else set()
                found |= {"lost"} if sum(both) / 2 < config.lost else set()
            if "gradient" in name:
                found |= self._course(name, value)
        return found

    def _course(self, name: str, norm: float) -> set[str]:
        """What a gradient's length says beside its own past's median."""
        past = self.norms[name]
        usual = sorted(past)[len(past) // 2] if len(past) >= 20 else None
        if not math.isfinite(norm):
            return {"nan"}
        if usual is None or usual == 0:
            past.append(norm)
            return set()
        if norm > self.config.exploding * usual:
            return {"exploding"}
        if norm < self.config.vanishing * usual and "generator" in name:
            return {"vanishing"}
        past.append(norm)
        return set()


def of_player(generator: Player, opponent: Opponent) -> dict[str, float]:
    """The measures of a game: what the discriminator knew, and the length of both gradients."""
    found = {name: float(value) for name, value in opponent.told.items() if name.startswith("knew")}
    found["gradient generator"] = float(generator.gradient_norm)
    found["gradient discriminator"] = float(opponent.player.gradient_norm)
    return found


def of_pictures(made: Tensor, real: Tensor, source: Tensor | None = None) -> dict[str, float]:
    """The measures of a probe batch, all (B, C, H, W): made pictures, real ones of the same kind, and what was translated."""
    measures = {
        "diversity": diversity(made) / max(diversity(real), 1e-6),
        "checkerboard": checkerboard(made) / max(checkerboard(real), 1e-6),
    }
    return measures | ({"likeness": likeness(source, made)} if source is not None else {})


def diversity(pictures: Tensor) -> float:
    """How much a batch's pictures differ: the mean distance of two of them, (B, C, H, W), shrunk to 16 x 16 at most."""
    side = (min(16, pictures.shape[-2]), min(16, pictures.shape[-1]))
    points = F.adaptive_avg_pool2d(pictures.float(), side).flatten(1)
    return float(torch.pdist(points).mean()) if len(points) > 1 else 0.0


def checkerboard(pictures: Tensor) -> float:
    """Energy at the finest patterns (Nyquist across, along and both), beside that of their neighbourhood in the spectrum.

    Odena et al. 2016: the mark of transposed convolutions. About 1 for noise; the largest of the three is given, for (B, C, H, W).
    """
    return strongest_pattern(fine_energy(pictures))


def strongest_pattern(energy: Tensor) -> float:
    """The largest of the three ratios in what `fine_energy` found, of the means over the pictures."""
    patterns, beside = energy.mean(0).unbind(1)
    return float((patterns / beside.clamp_min(1e-12)).max())


def fine_energy(pictures: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 3, 2): of each picture and finest pattern its energy and that of its neighbourhood.

    The pictures fade out towards their borders (Hann's window), where the jump from one side to the other would else count as fine pattern.
    """
    height, width = (length // 2 * 2 for length in pictures.shape[2:])
    gray = pictures.float().mean(1)[:, :height, :width]
    gray = gray - gray.mean((1, 2), keepdim=True)
    window = [torch.hann_window(length, device=gray.device) for length in (height, width)]
    spectrum = torch.fft.fft2(gray * torch.outer(*window)).abs().square()
    # roll so that the neighbourhoods of the frequencies 0 and Nyquist are whole
    rolled = torch.roll(spectrum, (4, 4), (1, 2))
    found = []
    for row, column in ((height // 2, 0), (0, width // 2), (height // 2, width // 2)):
        around = rolled[:, row % height : row % height + 9, column % width : column % width + 9]
        middle = torch.zeros_like(around[0], dtype=torch.bool)
        middle[3:6, 3:6] = True  # so far the window spreads a peak
        beside = ~middle
        # the lines through frequency 0 hold the picture itself: there a line is compared with its own course
        if column == 0:
            beside[:, [0, 1, 2, 6, 7, 8]] = False
        if row == 0:
            beside[[0, 1, 2, 6, 7, 8]] = False
        found.append(torch.stack([around[:, middle].mean(1), around[:, beside].mean(1)], 1))
    return torch.stack(found, 1)


def likeness(source: Tensor, made: Tensor) -> float:
    """Correlation of the brightness of pictures and of their translations, mean over the batch; -1..1."""
    first, second = (F.adaptive_avg_pool2d(x.float().mean(1, keepdim=True), 16).flatten(1) for x in (source, made))
    first, second = (x - x.mean(1, keepdim=True) for x in (first, second))
    return float(F.cosine_similarity(first, second, dim=1).mean())
