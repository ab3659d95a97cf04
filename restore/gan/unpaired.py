"""The trainer of two networks on two domains without pairs: CycleGAN (Zhu et al. 2017).

Each `TranslationDirection` maps one domain to the other and has a discriminator of the other domain. An image translated there and
back should return unchanged (cycle), and an image of the target domain should stay (identity).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from restore.gan import monitor
from restore.gan.discriminator_trainer import DiscriminatorTrainer
from restore.gan.image_buffer import ImageBuffer
from restore.gan.monitor import MonitorConfig, TrainingMonitor
from restore.limits import check_fields
from restore.runtime import Runtime
from restore.training.cuda_graph import CUDAGraphStep
from restore.training.losses import PIXEL_LOSSES, change_penalty
from restore.training.micro_batches import mean, split
from restore.training.optimizers import OptimizerConfig
from restore.training.supervised import to_device
from restore.training.train_state import StateDict, TrainState
from restore.training.trainer import Diagnosis, StepOutput


@dataclass(frozen=True)
class CycleLossConfig:
    """What the two generators minimise: each weight multiplies its term."""

    adversarial_weight: float = field(default=1.0, metadata={"help": "weight of the discriminators' loss", "range": (0, 1e6)})
    pixel: Literal["l1", "l2", "charbonnier", "psnr", "ms_ssim"] = field(
        default="l1",
        metadata={"help": "the distance in cycle and identity; l1 can keep a residual generator stuck at the identity, l2 does not"},
    )
    cycle_weight: float = field(
        default=10.0, metadata={"help": "weight of the distance after translating there and back", "range": (0, 1e6)}
    )
    cycle_noise: float = field(
        default=0.0,
        metadata={
            "help": "deviation (white is 1) of noise on what is translated back; it suppresses patterns in which the source is hidden",
            "range": (0, 10),
        },
    )
    identity_weight: float = field(
        default=5.0,
        metadata={
            "help": "weight of the distance of a target image and its translation; keeps colours",
            "range": (0, 1e6),
        },
    )
    change_penalty_weight: float = field(
        default=0.0,
        metadata={
            "help": "weight of the squared change of a value beyond change_penalty_from; keeps blots out of smooth surfaces",
            "range": (0, 1e6),
        },
    )
    change_penalty_from: float = field(
        default=1.0,
        metadata={"help": "change of a value's logit, log p / (1 - p), that costs nothing", "range": (0, 100)},
    )
    image_buffer: int = field(default=50, metadata={"help": "past images kept for each discriminator", "range": (0, 100_000)})

    def __post_init__(self) -> None:
        check_fields(self)
        if self.pixel not in PIXEL_LOSSES:
            raise ValueError(f"unknown pixel loss {self.pixel!r}: there are {', '.join(PIXEL_LOSSES)}")


class TranslationDirection:
    """One direction of the translation: a generator, the discriminator of its output, and the buffer of its past images.

    Args:
        generator: predicts the correction.
        discriminator: of the domain that is translated to.
        optimizer: of the generator.
        runtime: device and precision.
        buffer_size: past images kept.
        seed: of the buffer's draws.
    """

    def __init__(
        self, generator: nn.Module, discriminator: DiscriminatorTrainer, optimizer: OptimizerConfig, runtime: Runtime,
        *, buffer_size: int, seed: int,
    ) -> None:  # fmt: skip
        self.runtime = runtime
        self.generator, self.discriminator = TrainState(generator, optimizer, runtime), discriminator
        self.image_buffer = ImageBuffer(buffer_size, seed)

    def translate(self, images: Tensor, *, averaged: bool = False) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W) float32."""
        network = self.generator.average if averaged else self.generator.network
        with self.runtime.autocast():
            correction: Tensor = network(images)
        return images + correction.float()

    def state_dict(self) -> StateDict:
        """Return everything that the next step depends on."""
        return {
            "generator": self.generator.state_dict(), "discriminator": self.discriminator.state_dict(),
            "image_buffer": self.image_buffer.state_dict(),
        }  # fmt: skip

    def load_state_dict(self, state: StateDict) -> None:
        """Restore what `state_dict` returned."""
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.image_buffer.load_state_dict(state["image_buffer"], self.runtime.device)


class _Direction(NamedTuple):
    """One direction as a step goes through it."""

    name: str
    translator: TranslationDirection
    inverse: TranslationDirection
    source: str
    target: str  # both are keys of the batch


class CycleGANTrainer:
    """Trains both directions together.

    A batch is {"input": (B, C, S, S), "target": (B, C, S, S)}, images of the source and of the target domain, drawn independently.

    Args:
        forward, backward: source to target and back.
        losses: the weights of the terms.
        runtime: device and precision.
        monitor_config: thresholds of the failure modes.
        probe: a batch whose translations are measured for them.
        micro_batches: a batch goes through the networks in so many equal parts.
    """

    def __init__(
        self, forward: TranslationDirection, backward: TranslationDirection, losses: CycleLossConfig, runtime: Runtime, *,
        monitor_config: MonitorConfig | None = None, probe: Mapping[str, Tensor] | None = None, micro_batches: int = 1,
    ) -> None:  # fmt: skip
        self.forward, self.backward = forward, backward
        self.directions = (
            _Direction("forward", forward, backward, "input", "target"), _Direction("backward", backward, forward, "target", "input"),
        )  # fmt: skip
        self.losses, self.runtime, self.probe, self.micro_batches = losses, runtime, probe, micro_batches
        self.pixel = PIXEL_LOSSES[losses.pixel]
        self.monitor = TrainingMonitor(monitor_config)
        backward.generator.scaler = forward.generator.scaler  # the generators have one common loss
        self._graphed_update = CUDAGraphStep(
            self._update_generators, [forward.generator, backward.generator], runtime,
            capturable=lambda: all(way.translator.discriminator.generator_is_capturable for way in self.directions),
        )  # fmt: skip

    def step(self, batch: Mapping[str, Tensor]) -> StepOutput:
        """Update both generators on their common loss, then each discriminator."""
        batch = to_device(batch, self.runtime)
        output = self._graphed_update(batch, self.micro_batches)
        losses = dict(output.losses)
        for way in self.directions:
            discriminator = way.translator.discriminator
            for _ in range(discriminator.config.steps):
                fake = way.translator.image_buffer.query(output.images[way.name])
                terms = discriminator.step(batch[way.target], fake, micro_batches=self.micro_batches).losses
            losses |= {f"{way.name} {term}": value for term, value in terms.items()}
        return StepOutput(losses, output.images)

    def diagnostics(self, step: int) -> Sequence[Diagnosis]:
        """Report the failure modes that showed at `step` and were not reported before."""
        return self.monitor.diagnose(step, self._measures)

    def passed_check(self, step: int) -> bool:
        """Whether a check at `step` found no collapse, or none is rolled back."""
        return self.monitor.passed_check(step)

    def scale_learning_rate(self) -> None:
        """Halve every learning rate after a rollback.

        Raises:
            ValueError: it was halved too often to help.
        """
        self.monitor.scale_learning_rate(self.train_states().values())

    @torch.no_grad()
    def preview(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Translate a batch there and back with the averaged networks, in both directions."""
        batch = to_device(batch, self.runtime)
        source, target = batch["input"], batch["target"]
        there, here = self.forward.translate(source, averaged=True), self.backward.translate(target, averaged=True)
        return {
            "source": source, "translated": there, "cycled": self.backward.translate(there, averaged=True),
            "target": target, "translated back": here, "cycled back": self.forward.translate(here, averaged=True),
        }  # fmt: skip

    def networks(self) -> dict[str, nn.Module]:
        """Return the averaged networks of both directions, which are published."""
        return {way.name: way.translator.generator.average for way in self.directions}

    def train_states(self) -> dict[str, TrainState]:
        """Return the states of both generators and both discriminators."""
        return {
            f"{way.name} {role}": state
            for way in self.directions
            for role, state in (
                ("generator", way.translator.generator),
                ("discriminator", way.translator.discriminator.state),
            )
        }

    def state_dict(self) -> StateDict:
        """Return everything that the next step depends on."""
        return {
            "forward": self.forward.state_dict(),
            "backward": self.backward.state_dict(),
            "monitor": self.monitor.state_dict(),
        }

    def load_state_dict(self, state: StateDict) -> None:
        """Restore what `state_dict` returned."""
        self.forward.load_state_dict(state["forward"])
        self.backward.load_state_dict(state["backward"])
        self.monitor.load_state_dict(state["monitor"])
        self._graphed_update.reset()

    def _update_generators(self, batch: Mapping[str, Tensor], micro_batches: int) -> StepOutput:
        images: dict[str, list[Tensor]] = {way.name: [] for way in self.directions}
        losses = [self._accumulate(part, images, 1 / micro_batches) for part in split(batch, micro_batches)]
        for way in self.directions:
            way.translator.generator.apply_gradients()
        self.forward.generator.scaler.update()
        return StepOutput(mean(losses), {name: torch.cat(parts) for name, parts in images.items()})

    def _accumulate(self, part: Mapping[str, Tensor], images: Mapping[str, list[Tensor]], fraction: float) -> dict[str, Tensor]:
        """Accumulate both generators' gradients on a micro-batch, which is `fraction` of the batch, and keep its translations."""
        losses: dict[str, Tensor] = {}
        for way in self.directions:
            terms, translated = self._terms(way, part[way.source], part[way.target])
            images[way.name].append(translated)
            losses |= {f"{way.name} {term}": value for term, value in terms.items()}
            # each direction's gradient reaches both generators; taken at once, so that one direction's activations are in memory
            way.translator.generator.accumulate(fraction * torch.stack(list(terms.values())).sum())
        return losses

    def _terms(self, way: _Direction, source: Tensor, target: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The weighted terms of one direction and its translations: Zhu et al. 2017, eq. 1, 2 and section 5.2 (identity)."""
        losses, terms = self.losses, dict[str, Tensor]()
        if losses.identity_weight:
            # one pass for both: the normalisations treat each image separately
            translated, same = way.translator.translate(torch.cat([source, target])).chunk(2)
            terms["identity"] = losses.identity_weight * self.pixel(same, target)
        else:
            translated = way.translator.translate(source)
        if losses.cycle_weight:
            inputs = translated
            if losses.cycle_noise:  # Bashkirova et al. 2019: generators hide the source in its translation (Chu et al. 2017)
                inputs = inputs + losses.cycle_noise * torch.randn_like(inputs)
            terms["cycle"] = losses.cycle_weight * self.pixel(way.inverse.translate(inputs), source)
        if losses.change_penalty_weight:
            terms["change penalty"] = losses.change_penalty_weight * change_penalty(translated, source, losses.change_penalty_from)
        if losses.adversarial_weight:
            terms["adversarial"] = losses.adversarial_weight * way.translator.discriminator.generator_loss(target, translated)
        return terms, translated.detach()

    def _measures(self) -> dict[str, float]:
        return {
            f"{way.name} {name}": value
            for way in self.directions
            for name, value in monitor.measures(
                way.translator.generator, way.translator.discriminator, self.probe, partial(_probe_images, way)
            ).items()
        }


def _probe_images(way: _Direction, probe: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """The translations of a probe batch, the target domain's images, and what was translated."""
    return way.translator.translate(probe[way.source]), probe[way.target], probe[way.source]
