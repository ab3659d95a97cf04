"""`DiscriminatorTrainer`: trains a discriminator, and gives the generator its adversarial loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore import distributed
from restore.gan import objectives, penalties
from restore.gan.augment import Augmentation
from restore.limits import check_fields
from restore.networks import discriminators
from restore.runtime import Runtime
from restore.training.cuda_graph import CUDAGraphStep
from restore.training.losses import mean_distance
from restore.training.micro_batches import mean, split
from restore.training.optimizers import OptimizerConfig
from restore.training.train_state import StateDict, TrainState, frozen
from restore.training.trainer import StepOutput

SPATIAL = tuple(name for name, kind in discriminators.DISCRIMINATORS.items() if kind.local)
"""Discriminators whose logits are one map, a logit for each region of the image."""
GAN_ADAM = OptimizerConfig(
    "adam", 2e-4, beta1=0.5, beta2=0.999, warmup_steps=0, decay_start=100_000, decay_steps=100_000, floor=0.0, ema=0.999
)
"""The optimizer of the GAN papers: Radford et al. 2016, section 4; the schedule of Zhu et al. 2017, section 7.1."""


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The discriminator and how it is trained."""

    network: str = field(default="patchgan", metadata={"help": "a key of restore.networks.discriminators.DISCRIMINATORS"})
    width: int = field(default=64, metadata={"help": "channels of its first layer", "range": (1, 4096)})
    norm: Literal["instance", "batch", "none"] = field(
        default="instance", metadata={"help": "patchgan and multiscale: instance, batch or none"}
    )
    spectral: bool = field(default=False, metadata={"help": "patchgan and multiscale: spectral normalisation"})
    objective: str = field(default="least_squares", metadata={"help": ", ".join(objectives.OBJECTIVES)})
    mask_loss: bool = field(
        default=False,
        metadata={"help": "inpainting: judge the holes alone; for patchgan, unet and projected, whose logits form a map"},
    )
    label_smoothing: float = field(default=0.0, metadata={"help": "the label of real images is 1 minus this", "range": (0, 1)})
    label_noise: float = field(default=0.0, metadata={"help": "fraction of the pairs whose labels are flipped", "range": (0, 1)})
    gradient_penalty: float = field(
        default=0.0, metadata={"help": "weight of (gradient norm - 1)^2 (10 for wasserstein)", "range": (0, 1e6)}
    )
    r1: float = field(
        default=0.0,
        metadata={"help": "weight of half the squared gradient norm at real images (R1)", "range": (0, 1e6)},
    )
    penalty_every: int = field(
        default=1,
        metadata={
            "help": "steps between two penalties, each multiplied by this number (Karras et al. 2020, section 3.1)",
            "range": (1, 1_000_000),
        },
    )
    steps: int = field(default=1, metadata={"help": "its updates per generator update (5 for wasserstein)", "range": (1, 1000)})
    augment: float = field(
        default=0.0,
        metadata={"help": "probability of each augmentation of its input; for small data sets", "range": (0, 1)},
    )
    adaptive: float = field(
        default=0.0,
        metadata={
            "help": "above 0: adapt augment until the mean sign of the logits of real images is this (0.6: ADA)",
            "range": (0, 1),
        },
    )
    optimizer: OptimizerConfig = field(default=GAN_ADAM)

    def __post_init__(self) -> None:
        check_fields(self)
        objectives.find(self.objective, real_label=1 - self.label_smoothing)
        if self.mask_loss and self.network not in SPATIAL:
            raise ValueError(f"mask_loss needs a discriminator whose logits form a map: {', '.join(SPATIAL)}, not {self.network!r}")
        if self.mask_loss and (self.augment or self.adaptive):
            raise ValueError("mask_loss and augmentation, which moves the holes, cannot be combined")


class DiscriminatorTrainer:
    """Trains a discriminator on real and fake images, and gives the generator its adversarial loss.

    Args:
        network: images (B, C, H, W) in nominal [0, 1] -> logits; a condition is concatenated before them.
        config: how it is trained.
        runtime: device and precision.

    Attributes:
        state: the discriminator with its optimizers.
        stats: of the last step: mean logits of real and of fake images, the accuracy on each, and the mean sign of the logits of real
            images ("overfitting").
    """

    def __init__(self, network: nn.Module, config: DiscriminatorConfig, runtime: Runtime) -> None:
        self.config, self.runtime = config, runtime
        # compiled networks have no second derivatives
        compiled = runtime.compile and not (config.gradient_penalty or config.r1)
        self.state = TrainState(network, config.optimizer, replace(runtime, compile=compiled))
        self.objective = objectives.find(config.objective, real_label=1 - config.label_smoothing)
        self.augmentation = Augmentation(config.augment, target=config.adaptive)
        self.stats: dict[str, Tensor] = {}
        self._graphed_update = CUDAGraphStep(self._update, [self.state], runtime, capturable=lambda: self.is_capturable)

    @property
    def generator_is_capturable(self) -> bool:
        """Whether `generator_loss` launches the same kernels every time: nothing in it is drawn or chosen on the CPU."""
        return not (self.augmentation.probability or self.augmentation.target or self.config.mask_loss)

    @property
    def is_capturable(self) -> bool:
        """The same of `step`."""
        return self.generator_is_capturable and not (self.config.label_noise or self.config.gradient_penalty or self.config.r1)

    def step(
        self,
        real: Tensor,
        fake: Tensor,
        condition: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        micro_batches: int = 1,
    ) -> StepOutput:
        """Update the discriminator once on real and fake images, both (B, C, H, W).

        Args:
            condition: (B, K, H, W), for a conditional discriminator.
            mask: (B, 1, H, W), 1 where the generator filled in, for a discriminator with `mask_loss`. Elsewhere real and fake are equal,
                and logits there carry no signal (Suvorov et al. 2022, LaMa, section 2.3.2).
            micro_batches: the batch goes through the network in so many equal parts.
        """
        optional = {name: tensor for name, tensor in (("condition", condition), ("mask", mask)) if tensor is not None}
        return self._graphed_update({"real": real, "fake": fake} | optional, micro_batches)

    def generator_loss(self, real: Tensor | None, fake: Tensor, condition: Tensor | None = None, *, mask: Tensor | None = None) -> Tensor:
        """Return the generator's adversarial loss, a scalar; no gradient reaches the discriminator.

        Args:
            real: used by relativistic objectives only.
            mask: see `step`.
        """
        with frozen(self.state.network), self.runtime.autocast():
            logits = self._logits(fake, condition)
            real_logits = logits.detach()
            if self.objective.relative:
                if real is None:
                    raise ValueError("a relativistic objective needs real images in addition to the fake ones")
                real_logits = self._logits(real.detach(), condition).detach()
        selected = self._selected(logits, mask)
        return self.objective.generator(_select(real_logits, selected), _select(logits, selected))

    def feature_matching(self, real: Tensor, fake: Tensor, condition: Tensor | None = None) -> Tensor:
        """The mean L1 distance of the discriminator's own features of real and fake images, layer by layer.

        Wang et al. 2018, "pix2pixHD", eq. 4; the features follow every leaky rectifier that is a layer of its own. They are computed
        without augmentation, which would move the two apart. No gradient reaches the discriminator.

        Raises:
            ValueError: the discriminator has no such layers.
        """
        features: list[Tensor] = []
        layers = [module for module in self.state.network.modules() if isinstance(module, nn.LeakyReLU)]
        if not layers:
            raise ValueError("this discriminator has no features: take patchgan or multiscale, or set feature_matching_weight to 0")
        hooks = [layer.register_forward_hook(lambda module, inputs, output: features.append(output)) for layer in layers]
        try:
            with frozen(self.state.network), self.runtime.autocast():
                images = torch.cat([real.detach(), fake])
                self.state.network(images if condition is None else torch.cat([condition.repeat(2, 1, 1, 1), images], 1))
        finally:
            for hook in hooks:
                hook.remove()
        halves = [output.chunk(2) for output in features]
        return torch.stack([mean_distance(of_fake, of_real.detach()) for of_real, of_fake in halves]).mean()

    def state_dict(self) -> StateDict:
        """Return everything that the next update depends on."""
        return {"state": self.state.state_dict(), "augmentation": self.augmentation.state_dict()}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore what `state_dict` returned."""
        self.state.load_state_dict(state["state"])
        self.augmentation.load_state_dict(state["augmentation"])
        self._graphed_update.reset()

    def _update(self, batch: Mapping[str, Tensor], micro_batches: int) -> StepOutput:
        results = [self._backward_step(part, 1 / micro_batches) for part in split(batch, micro_batches)]
        self.state.optimizer_step()
        self._update_stats(*torch.cat([logits for _, logits in results], 1))
        return StepOutput(mean([losses for losses, _ in results]))

    def _logits(self, images: Tensor, condition: Tensor | None) -> Tensor:
        logits: Tensor = self.state.network(self.augmentation(images, condition))
        return logits

    def _selected(self, logits: Tensor, mask: Tensor | None) -> Tensor | None:
        """Which logits of a map (B, K, h, w) count: those whose region holds a masked pixel; None for all.

        A projected discriminator sees the images shifted by up to seven pixels: at an edge its regions are off by as much.
        """
        if not self.config.mask_loss:
            return None
        if mask is None:
            raise ValueError("a discriminator with mask_loss needs the mask of the holes")
        return (F.adaptive_max_pool2d(mask.float(), logits.shape[-2:]) > 0).expand_as(logits)

    def _backward_step(self, part: Mapping[str, Tensor], fraction: float) -> tuple[dict[str, Tensor], Tensor]:
        """Accumulate the gradient of a micro-batch, which is `fraction` of the batch.

        Returns:
            Its losses, and (2, B) the mean logit of each real and of each fake image.
        """
        real, fake, condition = part["real"].detach(), part["fake"].detach(), part.get("condition")
        losses: dict[str, Tensor] = {}
        with self.runtime.autocast():
            logits = [self._logits(images, condition) for images in (real, fake)]
        first, second = objectives.flip_labels(logits[0], logits[1], self.config.label_noise)
        selected = self._selected(first, part.get("mask"))
        losses["discriminator"] = self.objective.discriminator(
            _select(first, selected), _select(second, selected), 1 - self.config.label_smoothing
        )
        self.state.accumulate(fraction * losses["discriminator"])
        if self.state.steps % self.config.penalty_every == 0:
            losses |= self._penalties(real, fake, condition, fraction)
        means = torch.stack([_sample_means(one.detach().float(), selected) for one in logits])
        return {name: loss.detach() for name, loss in losses.items()}, means

    def _penalties(self, real: Tensor, fake: Tensor, condition: Tensor | None, fraction: float) -> dict[str, Tensor]:
        losses = {}

        def discriminator(images: Tensor) -> Tensor:
            inputs = images if condition is None else torch.cat([condition.float(), images], 1)
            logits: Tensor = self.state.network(inputs)
            return logits

        if self.config.gradient_penalty:
            losses["gradient penalty"] = self.config.gradient_penalty * penalties.gradient_penalty(discriminator, real, fake)
        if self.config.r1:
            losses["r1"] = self.config.r1 * penalties.r1(discriminator, real)
        for loss in losses.values():
            self.state.accumulate(fraction * loss * self.config.penalty_every)
        return losses

    @torch.no_grad()
    def _update_stats(self, real: Tensor, fake: Tensor) -> None:
        """Take the mean logits of all images of a step, both (B)."""
        threshold: float | Tensor = 0.5 if self.config.objective == "least_squares" else 0.0
        if self.objective.relative or self.config.objective == "wasserstein":
            threshold = (real.mean() + fake.mean()) / 2
        self.stats = {
            "real": real.mean(), "fake": fake.mean(), "overfitting": (real - threshold).sign().mean(),
            "accuracy real": (real > threshold).float().mean(), "accuracy fake": (fake < threshold).float().mean(),
        }  # fmt: skip
        distributed.current().average(list(self.stats.values()))
        self.augmentation.adapt(self.stats["overfitting"])


def _select(logits: Tensor, selected: Tensor | None) -> Tensor:
    return logits if selected is None else logits[selected]


def _sample_means(logits: Tensor, selected: Tensor | None) -> Tensor:
    """The mean logit of each sample, (B, ...) -> (B), over the selected ones where some are."""
    if selected is None:
        return logits.flatten(1).mean(1)
    return (logits * selected).flatten(1).sum(1) / selected.flatten(1).sum(1).clamp(min=1)
