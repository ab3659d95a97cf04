"""A trainer of one network on pairs (damaged, clean) with pixel losses; perceptual and adversarial terms come with the GAN core."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from restore.runtime import Runtime
from restore.training.muon import Muon

PIXEL_LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": lambda prediction, clean: (prediction - clean).abs().mean(),
    "l2": lambda prediction, clean: (prediction - clean).square().mean(),
    # half the logarithm of each picture's squared error, so that every noise level counts alike: the mean PSNR itself
    # (Chen et al. 2022, NAFNet); 1e-5 (50 dB) keeps nearly clean pictures from ruling
    "psnr": lambda prediction, clean: ((prediction - clean).square().mean((1, 2, 3)) + 1e-5).log().mean() / 2,
    # Charbonnier et al. 1994: a smooth L1, with epsilon 1e-3 as in Lai et al. 2017
    "charbonnier": lambda prediction, clean: ((prediction - clean).square() + 1e-6).sqrt().mean(),
}


@dataclass(frozen=True)
class OptimizerConfig:
    """How the weights move."""

    name: Literal["muon", "adam"] = field(
        default="muon", metadata={"help": "muon for hidden convolutions with Adam for the rest, or adam for all"}
    )
    learning_rate: float = field(default=0.02, metadata={"help": "muon's rate (0.02), or adam's (1e-3)"})
    adam_rate: float = field(default=1e-3, metadata={"help": "under muon: Adam's rate for the first and last layer"})
    warmup_steps: int = field(default=50, metadata={"help": "steps in which the rate rises linearly from zero"})
    decay_steps: int = field(
        default=20_000, metadata={"help": "the rate falls linearly to `floor` until this step, whatever `steps` says"}
    )
    floor: float = field(default=0.01, metadata={"help": "the share of the rate that remains at the end"})
    ema: float = field(default=0.995, metadata={"help": "decay a step of the averaged weights, which are published"})


class SupervisedTrainer:
    """Trains `network` so that damaged + network(damaged, noise) comes near clean.

    A batch is {"damaged": (B, C, S, S), "clean": (B, C, S, S), "noise": (B, 1, S, S)}.

    Args:
        network: the correction network; trained in float32 with autocast in `runtime`'s precision.
        optimizer: rates, schedule and averaging.
        runtime: device and precision.
        pixel_loss: a key of PIXEL_LOSSES.
        pixel_weight: what multiplies it.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: OptimizerConfig,
        runtime: Runtime,
        *,
        pixel_loss: str = "l1",
        pixel_weight: float = 1.0,
    ) -> None:
        if pixel_loss not in PIXEL_LOSSES:
            raise ValueError(f"unknown pixel loss {pixel_loss!r}: there are {', '.join(PIXEL_LOSSES)}")
        self.runtime, self.config = runtime, optimizer
        self.network = network.to(runtime.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizers = _optimizers(self.network, optimizer)
        self.pixel_loss, self.pixel_weight = PIXEL_LOSSES[pixel_loss], pixel_weight
        self.steps = 0

    def step(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One update; returns the losses."""
        clean = self._here(batch["clean"])
        prediction = self.predict(self.network, batch)
        loss = self.pixel_weight * self.pixel_loss(prediction, clean)
        for entry in self.optimizers:
            entry.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        rate = schedule(self.config, self.steps)
        for entry in self.optimizers:
            for group in entry.param_groups:
                group["lr"] = group["full_rate"] * rate
            entry.step()
        self.steps += 1
        self._average()
        return {"pixel": loss.detach()}

    def predict(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """The restored batch, (B, C, S, S) float32: the correction is added in float32."""
        damaged, noise = self._here(batch["damaged"]), self._here(batch["noise"])
        with torch.autocast(self.runtime.device.type, self.runtime.dtype, enabled=self.runtime.dtype != torch.float32):
            correction = network(damaged, noise)
        return damaged + correction.float()

    @torch.no_grad()
    def preview(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the averaged network makes of a batch: {damaged, prediction, clean}."""
        return {"damaged": batch["damaged"], "prediction": self.predict(self.average, batch), "clean": batch["clean"]}

    def networks(self) -> dict[str, nn.Module]:
        """What gets published: the averaged network."""
        return {"restorer": self.average}

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [entry.state_dict() for entry in self.optimizers],
            "steps": self.steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Undo `state_dict`."""
        try:
            self.network.load_state_dict(state["network"])
        except RuntimeError as error:
            raise ValueError(f"a run can only be resumed with the network it began with: {error}") from error
        self.average.load_state_dict(state["average"])
        for entry, saved in zip(self.optimizers, state["optimizers"], strict=True):
            entry.load_state_dict(saved)
        self.steps = int(state["steps"])

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.ema, (1 + self.steps) / (10 + self.steps))
        averages, values = [*self.average.state_dict().values()], [*self.network.state_dict().values()]
        torch._foreach_lerp_(averages, values, 1 - decay)

    def _here(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.runtime.device, non_blocking=True)


def schedule(config: OptimizerConfig, step: int) -> float:
    """The share of the full rate at `step`: linear up, linear down to `floor`. It does not depend on how long the run is."""
    up = min(1.0, (step + 1) / max(1, config.warmup_steps))
    down = 1 - (1 - config.floor) * min(1.0, step / max(1, config.decay_steps))
    return up * down


def _optimizers(network: nn.Module, config: OptimizerConfig) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices and Adam for the first and last layer and all vectors; or Adam for all."""
    if not math.isfinite(config.learning_rate) or config.learning_rate <= 0:
        raise ValueError(f"learning_rate must be above 0, not {config.learning_rate}")
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in parameters if parameter.dim() >= 2]
    hidden = [] if config.name == "adam" else matrices[1:-1]
    chosen = {id(parameter) for parameter in hidden}
    rest = [parameter for parameter in parameters if id(parameter) not in chosen]
    adam_rate = config.learning_rate if config.name == "adam" else config.adam_rate
    made: list[torch.optim.Optimizer] = [torch.optim.Adam(rest, adam_rate, betas=(0.9, 0.98))]
    if hidden:
        made.append(Muon(hidden, config.learning_rate))
    for entry in made:
        for group in entry.param_groups:
            group["full_rate"] = group["lr"]
    return made
