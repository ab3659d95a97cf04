"""The trainer of one network on pairs, with a discriminator in addition to the reconstruction loss.

With a conditional discriminator it is pix2pix (Isola et al. 2017). With pixel, perceptual and adversarial terms it is adversarial
restoration (Ledig et al. 2017, SRGAN; Wang et al. 2018, ESRGAN).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from restore.gan import monitor
from restore.gan.discriminator_trainer import DiscriminatorTrainer
from restore.gan.monitor import MonitorConfig, TrainingMonitor
from restore.limits import check_fields
from restore.networks import RestorationNetwork
from restore.runtime import Runtime
from restore.training.cuda_graph import CUDAGraphStep
from restore.training.losses import ReconstructionLoss
from restore.training.micro_batches import mean, split
from restore.training.optimizers import OptimizerConfig
from restore.training.supervised import predict, preview, to_device
from restore.training.train_state import StateDict, TrainState
from restore.training.trainer import Diagnosis, StepOutput


@dataclass(frozen=True)
class LossConfig:
    """What the network minimises: each weight multiplies its term, and a weight of 0 leaves the term out."""

    pixel: Literal["l1", "l2", "charbonnier", "psnr", "ms_ssim", "chroma"] = field(default="l1", metadata={"help": "the loss on pixels"})
    pixel_weight: float = field(default=1.0, metadata={"help": "weight of the pixel loss", "range": (0, 1e6)})
    perceptual_weight: float = field(default=0.0, metadata={"help": "weight of the distance of VGG16's features", "range": (0, 1e6)})
    lpips_weight: float = field(default=0.0, metadata={"help": "weight of LPIPS (AlexNet)", "range": (0, 1e6)})
    adversarial_weight: float = field(
        default=0.0,
        metadata={
            "help": "weight of the discriminator's loss; above 0 a discriminator is trained too",
            "range": (0, 1e6),
        },
    )
    feature_matching_weight: float = field(
        default=0.0,
        metadata={
            "help": "weight of the distance of the discriminator's features; needs an adversarial_weight",
            "range": (0, 1e6),
        },
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if max(self.pixel_weight, self.perceptual_weight, self.lpips_weight, self.adversarial_weight) <= 0:
            raise ValueError("at least one weight of a loss must be above 0")
        if self.feature_matching_weight and not self.adversarial_weight:
            raise ValueError("a feature_matching_weight needs a discriminator: set adversarial_weight above 0")

    def reconstruction(self, runtime: Runtime) -> ReconstructionLoss:
        """Build the terms that need no discriminator."""
        return ReconstructionLoss(
            runtime,
            self.pixel,
            pixel_weight=self.pixel_weight,
            perceptual_weight=self.perceptual_weight,
            lpips_weight=self.lpips_weight,
        )


class PairedAdversarialTrainer:
    """Trains `network` so that input + network(input[, condition]) approaches the target and fools a discriminator.

    A batch is that of `SupervisedTrainer`.

    Args:
        network: predicts the correction; trained in float32 with autocast in `runtime`'s precision.
        discriminator: trained with it.
        optimizer: of the network: rates, schedule and averaging.
        runtime: device and precision.
        losses: the weights of the terms.
        conditional: the discriminator sees the input with the image (pix2pix).
        monitor_config: thresholds of the failure modes.
        probe: a batch whose predictions are measured for them.
        micro_batches: a batch goes through the networks in so many equal parts.
    """

    def __init__(  # noqa: PLR0913  # keyword-only, most with a default
        self, network: RestorationNetwork, discriminator: DiscriminatorTrainer, optimizer: OptimizerConfig, runtime: Runtime, *,
        losses: LossConfig, conditional: bool = False, monitor_config: MonitorConfig | None = None,
        probe: Mapping[str, Tensor] | None = None, micro_batches: int = 1,
    ) -> None:  # fmt: skip
        if not losses.adversarial_weight:
            raise ValueError("a discriminator needs an adversarial_weight above 0")
        self.runtime, self.losses, self.conditional, self.micro_batches = runtime, losses, conditional, micro_batches
        self.spec = network.spec
        self.generator, self.discriminator = TrainState(network, optimizer, runtime), discriminator
        self.reconstruction = losses.reconstruction(runtime)
        self.monitor, self.probe = TrainingMonitor(monitor_config), probe
        self._graphed_update = CUDAGraphStep(
            self._update_generator, [self.generator], runtime, capturable=lambda: discriminator.generator_is_capturable
        )

    def step(self, batch: Mapping[str, Tensor]) -> StepOutput:
        """Update the generator once, then the discriminator."""
        batch = to_device(batch, self.runtime)
        output = self._graphed_update(batch, self.micro_batches)
        losses = dict(output.losses)
        for _ in range(self.discriminator.config.steps):
            losses |= self.discriminator.step(
                batch["target"],
                output.images["output"],
                self._condition(batch),
                mask=batch.get("mask"),
                micro_batches=self.micro_batches,
            ).losses
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

    def preview(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the averaged network on a batch."""
        return preview(self.generator.average, self.spec, batch, self.runtime)

    def networks(self) -> dict[str, nn.Module]:
        """Return the averaged network, which is published."""
        return {"restorer": self.generator.average}

    def train_states(self) -> dict[str, TrainState]:
        """Return the generator's and the discriminator's state."""
        return {"generator": self.generator, "discriminator": self.discriminator.state}

    def state_dict(self) -> StateDict:
        """Return everything that the next step depends on."""
        return {
            "generator": self.generator.state_dict(), "discriminator": self.discriminator.state_dict(), "monitor": self.monitor.state_dict()
        }  # fmt: skip

    def load_state_dict(self, state: StateDict) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ValueError: the state belongs to another network, or to a run without a discriminator.
        """
        if "discriminator" not in state:
            raise ValueError("a run that began without a discriminator can only be resumed without one: keep its losses.adversarial_weight")
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.monitor.load_state_dict(state["monitor"])
        self._graphed_update.reset()

    def _update_generator(self, batch: Mapping[str, Tensor], micro_batches: int) -> StepOutput:
        outputs, losses = [], []
        for part in split(batch, micro_batches):
            prediction = predict(self.generator.network, self.spec, part, self.runtime)
            terms = self._terms(prediction, part)
            self.generator.accumulate(torch.stack(list(terms.values())).sum() / micro_batches)
            outputs.append(prediction.detach())
            losses.append(terms)
        self.generator.optimizer_step()
        return StepOutput(mean(losses), {"output": torch.cat(outputs)})

    def _terms(self, prediction: Tensor, part: Mapping[str, Tensor]) -> dict[str, Tensor]:
        target, condition = part["target"], self._condition(part)
        terms = self.reconstruction.terms(prediction, target)
        adversarial = self.discriminator.generator_loss(target, prediction, condition, mask=part.get("mask"))
        terms["adversarial"] = self.losses.adversarial_weight * adversarial
        if self.losses.feature_matching_weight:
            distance = self.discriminator.feature_matching(target, prediction, condition)
            terms["feature matching"] = self.losses.feature_matching_weight * distance
        return terms

    def _condition(self, batch: Mapping[str, Tensor]) -> Tensor | None:
        return batch["input"] if self.conditional else None

    def _measures(self) -> dict[str, float]:
        return monitor.measures(
            self.generator, self.discriminator, self.probe,
            lambda probe: (predict(self.generator.network, self.spec, probe, self.runtime), probe["target"]),
        )  # fmt: skip
