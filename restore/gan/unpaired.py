"""The trainer of two networks on two heaps of pictures without pairs: CycleGAN (Zhu et al. 2017).

Each `Direction` translates one domain into the other and has an opponent who knows the other domain's pictures. What goes there and
back must come out as it was (cycle), and what belongs to the target domain already should stay (identity).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from restore.gan import health
from restore.gan.core import OptimizerConfig, Player, evaluating, mean, split
from restore.gan.health import HealthConfig, HealthWatch, Verdict
from restore.gan.losses import PIXEL_LOSSES, excess
from restore.gan.opponent import Opponent
from restore.gan.pool import Pool
from restore.gan.replayed import Replayed
from restore.runtime import Runtime


@dataclass(frozen=True)
class CycleConfig:
    """What the two generators minimise: each weight multiplies its term."""

    adversarial_weight: float = field(default=1.0, metadata={"help": "of the opponents' verdicts", "range": (0, 1e6)})
    pixel: Literal["l1", "l2", "charbonnier", "psnr", "ms_ssim"] = field(
        default="l1",
        metadata={"help": "how both distances are measured; l2 lets a residual generator leave the identity, where l1 has an edge"},
    )
    cycle_weight: float = field(default=10.0, metadata={"help": "of the distance after going there and back", "range": (0, 1e6)})
    cycle_noise: float = field(
        default=0.0,
        metadata={"help": "deviation (white is 1) of noise on what is translated back, in which hidden patterns drown", "range": (0, 10)},
    )
    identity_weight: float = field(
        default=5.0, metadata={"help": "of the distance of a target picture from its own translation; keeps the colours", "range": (0, 1e6)}
    )
    excess_weight: float = field(
        default=0.0,
        metadata={
            "help": "of the square of what a value changes beyond excess_from; keeps blots out of smooth surfaces",
            "range": (0, 1e6),
        },
    )
    excess_from: float = field(
        default=1.0, metadata={"help": "change of a value's logit, log p / (1 - p), that costs nothing", "range": (0, 100)}
    )
    pool: int = field(default=50, metadata={"help": "past pictures kept for each opponent", "range": (0, 100_000)})

    def __post_init__(self) -> None:
        if self.pixel not in PIXEL_LOSSES:
            raise ValueError(f"unknown pixel loss {self.pixel!r}: there are {', '.join(PIXEL_LOSSES)}")
        weights = (self.adversarial_weight, self.cycle_weight, self.identity_weight, self.excess_weight)
        if min(*weights, self.cycle_noise, self.excess_from, self.pool) < 0:
            raise ValueError("no weight of a loss, no noise, no change and no pool may be negative")


class Direction:
    """One way of the translation: a generator, the opponent who judges what it makes, and the pool that the opponent sees.

    Args:
        generator: the correction network.
        opponent: of the domain that is translated to.
        optimizer: of the generator.
        runtime: device and precision.
        pool: past pictures kept.
        seed: of the pool's draws.
    """

    def __init__(
        self, generator: nn.Module, opponent: Opponent, optimizer: OptimizerConfig, runtime: Runtime, *, pool: int, seed: int
    ) -> None:
        self.runtime = runtime
        self.generator, self.opponent = Player(generator, optimizer, runtime), opponent
        self.pool = Pool(pool, seed)

    def translate(self, pictures: Tensor, *, averaged: bool = False) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W) float32."""
        network = self.generator.average if averaged else self.generator.network
        with self.runtime.autocast():
            correction = network(pictures)
        return pictures + correction.float()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {part: getattr(self, part).state_dict() for part in ("generator", "opponent", "pool")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Undo `state_dict`."""
        self.generator.load_state_dict(state["generator"])
        self.opponent.load_state_dict(state["opponent"])
        self.pool.load_state_dict(state["pool"], self.runtime.device)


class CycleTrainer:
    """Trains both directions together.

    A batch is {"source": (B, C, S, S), "target": (B, C, S, S)}, two draws that have nothing to do with each other.

    Args:
        forward, backward: source to target and back.
        config: weights of the terms.
        runtime: device and precision.
        health_config: what counts as an illness.
        probe: a batch whose translations are looked at for it.
        parts: how many parts of a batch go through the networks, one after the other; see `core.split`.
    """

    def __init__(
        self, forward: Direction, backward: Direction, config: CycleConfig, runtime: Runtime, *,
        health_config: HealthConfig | None = None, probe: Mapping[str, Tensor] | None = None, parts: int = 1,
    ) -> None:  # fmt: skip
        self.forward, self.backward = forward, backward
        self.config, self.runtime, self.probe = config, runtime, probe
        self.parts = parts
        self.pixel = PIXEL_LOSSES[config.pixel]
        self.watch = HealthWatch(health_config)
        backward.generator.scaler = forward.generator.scaler  # of one common loss
        self._translations = Replayed(
            self._translate, [forward.generator, backward.generator], runtime,
            steady=lambda: forward.opponent.judges_alike and backward.opponent.judges_alike,
        )  # fmt: skip

    def step(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One round: both generators on their common loss, then each opponent; returns the losses."""
        batch = {domain: self._here(batch[domain]) for domain in ("source", "target")}
        losses = self._translations(batch, self.parts)
        for name, way, real in (("forward", self.forward, batch["target"]), ("backward", self.backward, batch["source"])):
            made = losses.pop(f"{name} made")
            for _ in range(way.opponent.config.steps):
                learnt = way.opponent.learn(real, way.pool.exchange(made), parts=self.parts)
            losses |= {f"{name} {term}": value for term, value in learnt.items()}
        return losses

    @torch.no_grad()
    def preview(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the averaged networks make of a batch, both ways."""
        source, target = self._here(batch["source"]), self._here(batch["target"])
        there, here = self.forward.translate(source, averaged=True), self.backward.translate(target, averaged=True)
        return {
            "source": source, "translated": there, "cycled": self.backward.translate(there, averaged=True),
            "target": target, "translated back": here, "cycled back": self.forward.translate(here, averaged=True),
        }  # fmt: skip

    def networks(self) -> dict[str, nn.Module]:
        """What gets published: the averaged networks of both directions."""
        return {"forward": self.forward.generator.average, "backward": self.backward.generator.average}

    def players(self) -> dict[str, Player]:
        """Everybody who learns, by name."""
        return {
            f"{name} {role}": player
            for name, way in (("forward", self.forward), ("backward", self.backward))
            for role, player in (("generator", way.generator), ("discriminator", way.opponent.player))
        }

    def examine(self, step: int) -> list[Verdict]:
        """What is ill, if anything, told once each."""
        return self.watch.examine(step, self)

    @torch.no_grad()
    def measures(self) -> dict[str, float]:
        """What the health watch looks at, of both directions."""
        found: dict[str, float] = {}
        for name, way, own, other in (
            ("forward", self.forward, "source", "target"),
            ("backward", self.backward, "target", "source"),
        ):
            mine = health.of_player(way.generator, way.opponent)
            if self.probe is not None:
                source = self._here(self.probe[own])
                with evaluating(way.generator.network):
                    mine |= health.of_pictures(way.translate(source), self._here(self.probe[other]), source)
            found |= {f"{name} {measure}": value for measure, value in mine.items()}
        return found

    def soften(self) -> None:
        """Half of every rate from now on, and a fresh look at the run's health.

        Raises:
            ValueError: that has been done too often to help.
        """
        self.watch.soften(self.players().values())

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {way: getattr(self, way).state_dict() for way in ("forward", "backward")} | {"watch": self.watch.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Undo `state_dict`."""
        self.forward.load_state_dict(state["forward"])
        self.backward.load_state_dict(state["backward"])
        self.watch.load_state_dict(state["watch"])
        self._translations.forget()

    def _translate(self, batch: Mapping[str, Tensor], parts: int) -> dict[str, Tensor]:
        """Both generators' update; returns the losses and what they made."""
        made: dict[str, list[Tensor]] = {"forward": [], "backward": []}
        told = [self._gather(part, made, 1 / parts) for part in split(batch, parts)]
        for way in (self.forward, self.backward):
            way.generator.move()
        self.forward.generator.scaler.update()
        return mean(told) | {f"{name} made": torch.cat(pictures) for name, pictures in made.items()}

    def _gather(self, part: Mapping[str, Tensor], made: Mapping[str, list[Tensor]], share: float) -> dict[str, Tensor]:
        """Gather both generators' gradients on a part of the batch, which is `share` of it, and keep what they made; returns the losses."""
        losses: dict[str, Tensor] = {}
        for name, way, back, own, other in (
            ("forward", self.forward, self.backward, "source", "target"),
            ("backward", self.backward, self.forward, "target", "source"),
        ):
            terms, translated = self._terms(way, back, part[own], part[other])
            made[name].append(translated)
            losses |= {f"{name} {term}": value for term, value in terms.items()}
            # the gradient of each half reaches both generators; at once, so that only one half's activations are in memory
            way.generator.gather(share * torch.stack(list(terms.values())).sum())
        return losses

    def _terms(self, way: Direction, back: Direction, own: Tensor, other: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The weighted terms of one direction and its translations: Zhu et al. 2017, eq. 1, 2 and section 5.2 (identity)."""
        terms: dict[str, Tensor] = {}
        if self.config.identity_weight:
            # one pass for both: the normalisations look at each picture apart
            translated, same = way.translate(torch.cat([own, other])).chunk(2)
            terms["identity"] = self.config.identity_weight * self.pixel(same, other)
        else:
            translated = way.translate(own)
        if self.config.cycle_weight:
            seen = translated
            if self.config.cycle_noise:  # Bashkirova et al. 2019, against what Chu et al. 2017 found: a source hidden in its translation
                seen = seen + self.config.cycle_noise * torch.randn_like(seen)
            terms["cycle"] = self.config.cycle_weight * self.pixel(back.translate(seen), own)
        if self.config.excess_weight:
            terms["excess"] = self.config.excess_weight * excess(translated, own, self.config.excess_from)
        if self.config.adversarial_weight:
            terms["adversarial"] = self.config.adversarial_weight * way.opponent.verdict(other, translated)
        return terms, translated.detach()

    def _here(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.runtime.device, non_blocking=True)
