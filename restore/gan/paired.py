"""The trainer of one network on pairs: pixel losses, and where wanted distances of deep features and an opponent.

Without an opponent it is plain supervised training; with one and a condition it is pix2pix (Isola et al. 2017); with all three terms
it is adversarial restoration (Ledig et al. 2017, SRGAN; Wang et al. 2018, ESRGAN).
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
from restore.gan.losses import PIXEL_LOSSES, Lpips, Perceptual
from restore.gan.opponent import Opponent
from restore.gan.replayed import Replayed
from restore.networks.resample import enlarge
from restore.networks.spec import RestorationNetwork
from restore.runtime import Runtime

CONDITIONS = ("noise", "mask")
"""Maps of a batch that a network takes beside its picture, where they are there."""


@dataclass(frozen=True)
class LossConfig:
    """What the generator minimises: each weight multiplies its term, and a weight of 0 leaves the term out."""

    pixel: Literal["l1", "l2", "charbonnier", "psnr", "ms_ssim"] = field(
        default="l1", metadata={"help": "the loss on pixels"}
    )
    pixel_weight: float = field(default=1.0, metadata={"help": "what multiplies it", "range": (0, 1e6)})
    perceptual_weight: float = field(default=0.0, metadata={"help": "what multiplies the distance of VGG16's features", "range": (0, 1e6)})
    lpips_weight: float = field(default=0.0, metadata={"help": "what multiplies LPIPS (alex)", "range": (0, 1e6)})
    adversarial_weight: float = field(default=0.0, metadata={"help": "what multiplies the opponent's verdict", "range": (0, 1e6)})
    matching_weight: float = field(
        default=0.0,
        metadata={"help": "what multiplies the distance of the opponent's own features; needs an adversarial_weight", "range": (0, 1e6)},
    )

    def __post_init__(self) -> None:
        if self.pixel not in PIXEL_LOSSES:
            raise ValueError(f"unknown pixel loss {self.pixel!r}: there are {', '.join(PIXEL_LOSSES)}")
        weights = (self.pixel_weight, self.perceptual_weight, self.lpips_weight, self.adversarial_weight)
        if min(*weights, self.matching_weight) < 0 or max(weights) <= 0:
            raise ValueError("no weight of a loss may be negative, and one at least must be above 0")
        if self.matching_weight and not self.adversarial_weight:
            raise ValueError("a matching_weight needs an opponent whose features are compared: set adversarial_weight above 0")


class PairedTrainer:
    """Trains `network` so that input + network(input[, noise]) comes near what is wanted.

    A batch is {input: (B, C, S, S), wanted: (B, C, S, S)} and, for a network that takes one, a condition {"noise" or "mask": (B, 1, S, S)}.
    For a network that enlarges k times, the wanted are (B, C, kS, kS), and the network's answer is added to the input as
    `resample.enlarge` enlarges it.

    Args:
        network: the correction network; trained in float32 with autocast in `runtime`'s precision.
        optimizer: rates, schedule and averaging.
        runtime: device and precision.
        losses: the weights of the terms.
        opponent: needed where `adversarial_weight` is above 0.
        conditional: the opponent sees the input beside the picture (pix2pix).
        names: the batch's keys of input and wanted.
        health_config: what counts as an illness of a game.
        probe: a batch whose predictions are looked at for it.
        parts: how many parts of a batch go through the networks, one after the other; see `core.split`.
    """

    def __init__(
        self, network: RestorationNetwork, optimizer: OptimizerConfig, runtime: Runtime, *, losses: LossConfig | None = None,
        opponent: Opponent | None = None, conditional: bool = False, names: tuple[str, str] = ("damaged", "clean"),
        health_config: HealthConfig | None = None, probe: Mapping[str, Tensor] | None = None, parts: int = 1,
    ) -> None:  # fmt: skip
        self.runtime, self.losses, self.names = runtime, losses or LossConfig(), names
        if (self.losses.adversarial_weight > 0) != (opponent is not None):
            raise ValueError("an opponent and an adversarial_weight above 0 belong together")
        self.scale, self.conditions = network.spec.scale, network.spec.conditions
        self.generator = Player(network, optimizer, runtime)
        self.opponent, self.conditional, self.probe, self.parts = opponent, conditional, probe, parts
        self.watch = HealthWatch(health_config)
        self.pixel = PIXEL_LOSSES[self.losses.pixel]
        self.deep: dict[str, tuple[float, nn.Module]] = {}
        for name, weight, kind in (
            ("perceptual", self.losses.perceptual_weight, Perceptual),
            ("lpips", self.losses.lpips_weight, Lpips),
        ):
            if weight:
                self.deep[name] = (weight, kind().to(runtime.device))
        self._predictions = Replayed(
            self._improve, [self.generator], runtime, steady=lambda: opponent is None or opponent.judges_alike
        )

    def step(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One round: the generator's update, then the opponent's; returns the losses."""
        source, wanted = self.names
        batch = {name: self._here(batch[name]) for name in (*self.names, *CONDITIONS) if name in batch}
        losses = self._predictions(batch, self.parts)
        made = losses.pop("made")
        if self.opponent is not None:
            condition = batch[source] if self.conditional else None
            for _ in range(self.opponent.config.steps):
                losses |= self.opponent.learn(batch[wanted], made, condition, where=batch.get("mask"), parts=self.parts)
        return losses

    def predict(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """The prediction, (B, C, S, S) float32: the correction is added in float32."""
        inputs = [self._here(batch[name]) for name in (self.names[0], *self.conditions)]
        with self.runtime.autocast():
            correction = network(*inputs)
        return enlarge(inputs[0], self.scale) + correction.float()

    @torch.no_grad()
    def preview(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the averaged network makes of a batch: {input, prediction, wanted}."""
        source, wanted = self.names
        shown = enlarge(self._here(batch[source]), self.scale)
        return {source: shown, "prediction": self.predict(self.generator.average, batch), wanted: batch[wanted]}

    def networks(self) -> dict[str, nn.Module]:
        """What gets published: the averaged network."""
        return {"restorer": self.generator.average}

    def players(self) -> dict[str, Player]:
        """Everybody who learns, by name."""
        return {"generator": self.generator} | ({"discriminator": self.opponent.player} if self.opponent else {})

    def examine(self, step: int) -> list[Verdict]:
        """What is ill, if anything, told once each; without an opponent there is nothing to look at."""
        return self.watch.examine(step, self) if self.opponent else []

    @torch.no_grad()
    def measures(self) -> dict[str, float]:
        """What the health watch looks at."""
        assert self.opponent is not None
        found = health.of_player(self.generator, self.opponent)
        if self.probe is not None:
            with evaluating(self.generator.network):
                prediction = self.predict(self.generator.network, self.probe)
            found |= health.of_pictures(prediction, self._here(self.probe[self.names[1]]))
        return found

    def soften(self) -> None:
        """Half of every rate from now on, and a fresh look at the run's health.

        Raises:
            ValueError: that has been done too often to help.
        """
        self.watch.soften(self.players().values())

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        state = {"generator": self.generator.state_dict(), "watch": self.watch.state_dict()}
        return state | ({"opponent": self.opponent.state_dict()} if self.opponent else {})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Undo `state_dict`.

        Raises:
            ValueError: the state is of another network, or of a run with (or without) an opponent.
        """
        if ("opponent" in state) != (self.opponent is not None):
            raise ValueError("a run can only be resumed with an opponent if it began with one: keep its adversarial_weight")
        self.generator.load_state_dict(state["generator"])
        self.watch.load_state_dict(state["watch"])
        if self.opponent:
            self.opponent.load_state_dict(state["opponent"])
        self._predictions.forget()

    def _improve(self, batch: Mapping[str, Tensor], parts: int) -> dict[str, Tensor]:
        """The generator's update; returns the losses and what it made."""
        source, wanted = self.names
        made, told = [], []
        for part in split(batch, parts):
            prediction = self.predict(self.generator.network, part)
            terms = self._terms(prediction, part[wanted], part[source] if self.conditional else None, part.get("mask"))
            self.generator.gather(torch.stack(list(terms.values())).sum() / parts)
            made.append(prediction.detach())
            told.append(terms)
        self.generator.follow()
        return mean(told) | {"made": torch.cat(made)}

    def _terms(
        self, prediction: Tensor, wanted: Tensor, condition: Tensor | None, where: Tensor | None
    ) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        if self.losses.pixel_weight:
            terms["pixel"] = self.losses.pixel_weight * self.pixel(prediction, wanted)
        for name, (weight, distance) in self.deep.items():
            with self.runtime.autocast():
                terms[name] = weight * distance(prediction, wanted)
        if self.opponent is not None:
            terms["adversarial"] = self.losses.adversarial_weight * self.opponent.verdict(
                wanted, prediction, condition, where=where
            )
            if self.losses.matching_weight:
                terms["matching"] = self.losses.matching_weight * self.opponent.matching(wanted, prediction, condition)
        return terms

    def _here(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.runtime.device, non_blocking=True)
