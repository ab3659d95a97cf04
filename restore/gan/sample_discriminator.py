"""`SampleDiscriminatorTrainer`: trains a discriminator of generated pictures, and gives the generator its adversarial loss.

One pass over real and one over generated pictures serve the adversarial loss, R1 and R2, which some methods need at every step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from restore import distributed
from restore.gan import objectives, penalties
from restore.gan.augment import Augmentation
from restore.gan.discriminator_trainer import GAN_ADAM
from restore.limits import check_fields
from restore.networks.generators.spec import Judgement, SampleDiscriminator
from restore.runtime import Runtime
from restore.training.micro_batches import mean, split
from restore.training.optimizers import OptimizerConfig, cosine
from restore.training.train_state import StateDict, TrainState, frozen
from restore.training.trainer import StepOutput


@dataclass(frozen=True)
class SampleDiscriminatorConfig:
    """How a discriminator of generated pictures is trained."""

    objective: str = field(default="vanilla", metadata={"help": ", ".join(objectives.OBJECTIVES)})
    label_smoothing: float = field(default=0.0, metadata={"help": "the label of real pictures is 1 minus this", "range": (0, 1)})
    label_noise: float = field(default=0.0, metadata={"help": "fraction of the pairs whose labels are flipped", "range": (0, 1)})
    gradient_penalty: float = field(
        default=0.0, metadata={"help": "weight of (gradient norm - 1)^2 between real and fake (10 for wasserstein)", "range": (0, 1e6)}
    )
    clip_weights: float = field(
        default=0.0, metadata={"help": "above 0: clip each weight to this after an update (0.01: the first WGAN)", "range": (0, 1e6)}
    )
    r1: float = field(default=0.0, metadata={"help": "weight of half the squared gradient norm at real pictures", "range": (0, 1e6)})
    r2: float = field(default=0.0, metadata={"help": "weight of half the squared gradient norm at generated pictures", "range": (0, 1e6)})
    penalty_every: int = field(
        default=1,
        metadata={"help": "steps between two penalties, each multiplied by this number (16: lazy R1)", "range": (1, 1_000_000)},
    )
    penalty_decay: int = field(
        default=0, metadata={"help": "steps in which r1 and r2 fall along a cosine; 0: they stay", "range": (0, 1_000_000_000)}
    )
    penalty_floor: float = field(default=0.1, metadata={"help": "fraction of r1 and r2 that remains then", "range": (0, 1)})
    auxiliary: float = field(default=1.0, metadata={"help": "weight of a self-supervised loss (fastgan's decoders)", "range": (0, 1e6)})
    augment: float = field(default=0.0, metadata={"help": "probability of each augmentation of its input; for small sets", "range": (0, 1)})
    adaptive: float = field(
        default=0.0,
        metadata={"help": "above 0: adapt augment until the mean sign of the logits of real pictures is this (0.6: ADA)", "range": (0, 1)},
    )
    flips: bool = field(default=False, metadata={"help": "the augmentation flips left to right too"})
    optimizer: OptimizerConfig = field(default=GAN_ADAM)

    def __post_init__(self) -> None:
        check_fields(self)
        objectives.find(self.objective, real_label=1 - self.label_smoothing)

    def penalty_scale(self, step: int) -> float:
        """What r1 and r2 are multiplied by at `step`: 1 at first, `penalty_floor` after `penalty_decay` steps."""
        if not self.penalty_decay:
            return 1.0
        return 1 - (1 - self.penalty_floor) * cosine(min(1.0, step / self.penalty_decay))


class SampleDiscriminatorTrainer:
    """Trains a discriminator on real and generated pictures.

    Args:
        network: pictures (B, C, S, S) in nominal [0, 1], and labels (B) -> logits.
        config: how it is trained.
        runtime: device and precision; steps with a penalty run in float32, half precision loses second derivatives.

    Attributes:
        state: the discriminator with its optimizers.
        stats: of the last step: mean logits of real and of fake pictures, the accuracy on each, and the mean sign of the logits of real
            pictures ("overfitting": r_t of Karras et al. 2020, ADA, eq. 1).
    """

    def __init__(self, network: SampleDiscriminator, config: SampleDiscriminatorConfig, runtime: Runtime) -> None:
        self.config, self.runtime = config, runtime
        # compiled networks have no second derivatives
        compiled = runtime.compile and not (config.gradient_penalty or config.r1 or config.r2)
        self.self_supervised = network.self_supervised and config.auxiliary > 0
        self.state = TrainState(network, config.optimizer, replace(runtime, compile=compiled, replay=False))
        self.objective = objectives.find(config.objective, real_label=1 - config.label_smoothing)
        self.augmentation = Augmentation(config.augment, target=config.adaptive, flips=config.flips)
        self.stats: dict[str, Tensor] = {}

    def step(self, batch: Mapping[str, Tensor], *, micro_batches: int = 1) -> StepOutput:
        """Update the discriminator once.

        Args:
            batch: "real" and "fake" (B, C, S, S), and "label" (B) where there are classes.
            micro_batches: the batch goes through the network in so many equal parts.
        """
        results = [self._backward_step(part, 1 / micro_batches) for part in split(batch, micro_batches)]
        self.state.optimizer_step()
        self._update_stats(*torch.cat([logits for _, logits in results], 1))
        if self.config.clip_weights:  # Arjovsky et al. 2017, algorithm 1
            with torch.no_grad():
                for parameter in self.state.network.parameters():
                    parameter.clamp_(-self.config.clip_weights, self.config.clip_weights)
        return StepOutput(mean([losses for losses, _ in results]))

    def generator_loss(self, real: Tensor, fake: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the generator's adversarial loss, a scalar; no gradient reaches the discriminator."""
        with frozen(self.state.network), self.runtime.autocast():
            logits = self._judge(self.augmentation(fake), labels).logits
            real_logits = logits.detach()
            if self.objective.relative:
                real_logits = self._judge(self.augmentation(real.detach()), labels).logits.detach()
        return self.objective.generator(real_logits, logits)

    def state_dict(self) -> StateDict:
        """Return everything that the next update depends on."""
        return {"state": self.state.state_dict(), "augmentation": self.augmentation.state_dict()}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore what `state_dict` returned."""
        self.state.load_state_dict(state["state"])
        self.augmentation.load_state_dict(state["augmentation"])

    def _judge(self, pictures: Tensor, labels: Tensor | None, *, auxiliary: bool = False) -> Judgement:
        judgement: Judgement = self.state.network(pictures, labels, auxiliary=auxiliary)
        return judgement

    def _backward_step(self, part: Mapping[str, Tensor], fraction: float) -> tuple[dict[str, Tensor], Tensor]:
        """Accumulate the gradient of a micro-batch, which is `fraction` of the batch.

        Returns:
            Its losses, and (2, B) the mean logit of each real and of each generated picture.
        """
        config, labels = self.config, part.get("label")
        due = self.state.steps % config.penalty_every == 0
        penalised = due and bool(config.r1 or config.r2)
        images = [self.augmentation(part[name].detach()).detach().float().requires_grad_(penalised) for name in ("real", "fake")]
        # in float32 wherever a gradient's gradient is taken
        with torch.autocast(self.runtime.device.type, self.runtime.dtype, enabled=self.runtime.dtype != torch.float32 and not penalised):
            of_real = self._judge(images[0], labels, auxiliary=self.self_supervised)
            of_fake = self._judge(images[1], labels)
        first, second = objectives.flip_labels(of_real.logits, of_fake.logits, config.label_noise)
        losses = {"discriminator": self.objective.discriminator(first, second, 1 - config.label_smoothing)}
        if of_real.auxiliary is not None:
            losses["decoding"] = config.auxiliary * of_real.auxiliary
        scale = config.penalty_scale(self.state.steps)
        if due and config.r1:
            losses["r1"] = config.r1 * scale * penalties.squared_gradient(of_real.logits, images[0])
        if due and config.r2:
            losses["r2"] = config.r2 * scale * penalties.squared_gradient(of_fake.logits, images[1])
        if due and config.gradient_penalty:
            penalty = penalties.gradient_penalty(lambda between: self._judge(between, labels).logits, images[0], images[1])
            losses["gradient penalty"] = config.gradient_penalty * penalty
        self.state.accumulate(fraction * self._total(losses))
        means = torch.stack([one.logits.detach().float().flatten(1).mean(1) for one in (of_real, of_fake)])
        return {name: loss.detach() for name, loss in losses.items()}, means

    def _total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The sum; penalties that come every k-th step count k times (Karras et al. 2020, section 3.1)."""
        lazy = {"r1", "r2", "gradient penalty"}
        return torch.stack([loss * (self.config.penalty_every if name in lazy else 1) for name, loss in losses.items()]).sum()

    @torch.no_grad()
    def _update_stats(self, real: Tensor, fake: Tensor) -> None:
        """Take the mean logits of all pictures of a step, both (B)."""
        middle: float | Tensor = 0.5 if self.config.objective == "least_squares" else 0.0
        if self.objective.relative or self.config.objective == "wasserstein":
            middle = (real.mean() + fake.mean()) / 2
        self.stats = {
            "real": real.mean(), "fake": fake.mean(), "overfitting": (real - middle).sign().mean(),
            "accuracy real": (real > middle).float().mean(), "accuracy fake": (fake < middle).float().mean(),
        }  # fmt: skip
        distributed.current().average(list(self.stats.values()))
        self.augmentation.adapt(self.stats["overfitting"])
