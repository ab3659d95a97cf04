"""The trainer of one refiner on two domains without pairs: SimGAN (Shrivastava et al. 2017).

The refined image should pass for one of the target domain (adversarial) and stay near its source (self-regularisation, eq. 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from restore.gan import monitor
from restore.gan.monitor import MonitorConfig, TrainingMonitor
from restore.gan.unpaired import TranslationDirection
from restore.limits import check_fields
from restore.runtime import Runtime
from restore.training.train_state import TrainState
from restore.training.trainer import Diagnosis, StepOutput


@dataclass(frozen=True)
class RefinerLossConfig:
    """What the refiner minimises: each weight multiplies its term."""

    adversarial_weight: float = field(default=1.0, metadata={"help": "weight of the discriminator's loss", "range": (0, 1e6)})
    self_regularization_weight: float = field(
        default=10.0, metadata={"help": "weight of the L1 distance of an image and its refinement", "range": (0, 1e6)}
    )
    image_buffer: int = field(default=50, metadata={"help": "past images that the discriminator sees again", "range": (0, 10_000)})

    def __post_init__(self) -> None:
        check_fields(self)


class SimGANTrainer:
    """Trains a refiner and its discriminator. A batch is {"input": (B, C, S, S), "target": (B, C, S, S)}, drawn independently.

    Args:
        translator: the refiner with its discriminator and image buffer.
        losses: the weights of the terms.
        runtime: device and precision.
        monitor_config: thresholds of the failure modes.
        probe: a batch whose refinements are measured for them.
    """

    def __init__(
        self, translator: TranslationDirection, losses: RefinerLossConfig, runtime: Runtime, *, monitor_config: MonitorConfig,
        probe: Mapping[str, Tensor],
    ) -> None:  # fmt: skip
        self.translator, self.losses, self.runtime, self.probe = translator, losses, runtime, probe
        self.monitor = TrainingMonitor(monitor_config)

    def step(self, batch: Mapping[str, Tensor]) -> StepOutput:
        """Update the refiner once, then the discriminator."""
        source, target = self._on_device(batch)
        refined = self.translator.translate(source)
        discriminator = self.translator.discriminator
        terms = {
            "adversarial": self.losses.adversarial_weight * discriminator.generator_loss(target, refined),
            "self-regularization": self.losses.self_regularization_weight * (refined - source).abs().mean(),
        }
        self.translator.generator.accumulate(torch.stack(list(terms.values())).sum())
        self.translator.generator.optimizer_step()
        losses = {name: term.detach() for name, term in terms.items()}
        for _ in range(discriminator.config.steps):
            losses |= discriminator.step(target, self.translator.image_buffer.query(refined.detach())).losses
        return StepOutput(losses, {"refined": refined.detach()})

    def diagnostics(self, step: int) -> Sequence[Diagnosis]:
        """Report the failure modes that showed at `step` and were not reported before."""
        return self.monitor.diagnose(step, self._measures)

    def passed_check(self, step: int) -> bool:
        """Whether a check at `step` found no collapse, or none is rolled back."""
        return self.monitor.passed_check(step)

    def scale_learning_rate(self) -> None:
        """Halve both learning rates after a rollback; ValueError if that was done too often to help."""
        self.monitor.scale_learning_rate(self.train_states().values())

    @torch.no_grad()
    def preview(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Refine a batch with the averaged network."""
        source, target = self._on_device(batch)
        return {"source": source, "refined": self.translator.translate(source, averaged=True), "target": target}

    def networks(self) -> dict[str, nn.Module]:
        """Return the averaged refiner, which is published."""
        return {"refiner": self.translator.generator.average}

    def train_states(self) -> dict[str, TrainState]:
        """Return the states of the refiner and the discriminator."""
        return {"generator": self.translator.generator, "discriminator": self.translator.discriminator.state}

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next step depends on."""
        return {"translator": self.translator.state_dict(), "monitor": self.monitor.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.translator.load_state_dict(state["translator"])
        self.monitor.load_state_dict(state["monitor"])

    def _on_device(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return batch["input"].to(self.runtime.device), batch["target"].to(self.runtime.device)

    def _measures(self) -> dict[str, float]:
        return monitor.measures(self.translator.generator, self.translator.discriminator, self.probe, self._probe_images)

    def _probe_images(self, probe: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        return self.translator.translate(probe["input"]), probe["target"], probe["input"]
