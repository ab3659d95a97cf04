"""Optimizers of one network and the schedule of their learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from restore.limits import check_fields
from restore.runtime import Runtime
from restore.training.muon import Muon


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimizer, its schedule and the weight average."""

    name: Literal["muon", "adam"] = field(
        default="muon", metadata={"help": "muon for hidden convolutions with Adam for the rest, or adam for all"}
    )
    learning_rate: float = field(
        default=0.02,
        metadata={
            "help": "muon's rate (0.02), or adam's (1e-3; 2e-4 with a discriminator)",
            "range": (0, 10),
            "above": 0,
        },
    )
    adam_rate: float = field(
        default=1e-3,
        metadata={"help": "under muon: Adam's rate for the first and last layer", "range": (0, 10), "above": 0},
    )
    beta1: float = field(
        default=0.9,
        metadata={"help": "Adam's decay of the mean (0.5 for GANs: Radford et al. 2016)", "range": (0, 1), "below": 1},
    )
    beta2: float = field(default=0.98, metadata={"help": "Adam's decay of the square", "range": (0, 1), "below": 1})
    beta2_start: float = field(
        default=0.0,
        metadata={"help": "above 0: beta2 at the start; it rises to beta2 along a cosine within decay_steps", "range": (0, 1), "below": 1},
    )
    warmup_steps: int = field(
        default=50, metadata={"help": "steps in which the rate rises linearly from zero", "range": (0, 1_000_000_000)}
    )
    decay_start: int = field(
        default=0, metadata={"help": "step from which the rate falls linearly to `floor`", "range": (0, 1_000_000_000)}
    )
    decay_steps: int = field(
        default=20_000,
        metadata={"help": "steps in which the rate falls, independent of `loop.steps`", "range": (0, 1_000_000_000)},
    )
    decay: Literal["linear", "cosine"] = field(default="linear", metadata={"help": "how the rate falls: linear, or cosine"})
    floor: float = field(default=0.01, metadata={"help": "fraction of the rate that remains at the end", "range": (0, 1)})
    clip: float = field(default=0.0, metadata={"help": "largest gradient norm; 0: no clipping", "range": (0, 1e9)})
    ema: float = field(
        default=0.995,
        metadata={"help": "decay per step of the averaged weights, which are published", "range": (0, 1), "below": 1},
    )

    def __post_init__(self) -> None:
        check_fields(self)


def schedule(config: OptimizerConfig, step: int) -> float:
    """Return the fraction of the full rate at `step`: linear warm-up, constant, decay to `floor`."""
    warmup = min(1.0, (step + 1) / max(1, config.warmup_steps))
    decay = min(1.0, max(0.0, (step - config.decay_start) / max(1, config.decay_steps)))
    return warmup * (1 - (1 - config.floor) * (decay if config.decay == "linear" else cosine(decay)))


def cosine(progress: float) -> float:
    """0..1 -> 0..1 along half a period of the cosine (Loshchilov and Hutter 2017; Huang et al. 2024, R3GAN, appendix)."""
    return (1 - math.cos(math.pi * progress)) / 2


def beta2(config: OptimizerConfig, step: int) -> float:
    """Return Adam's decay of the square at `step`; it is constant without a `beta2_start` (Huang et al. 2024, R3GAN, appendix)."""
    if not config.beta2_start:
        return config.beta2
    progress = min(1.0, max(0.0, (step - config.decay_start) / max(1, config.decay_steps)))
    return config.beta2_start + (config.beta2 - config.beta2_start) * cosine(progress)


def build_optimizers(network: nn.Module, config: OptimizerConfig, runtime: Runtime) -> list[torch.optim.Optimizer]:
    """Build Muon for the hidden weights and Adam for the first and last layer and all vectors; or Adam for all.

    Each parameter group keeps its undecayed rate as `full_rate`. Its options depend on the configuration, the machine and the step alone.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in parameters if parameter.dim() >= 2]
    # layers of a few channels touch images: they are not matrices of many directions, wherever they stand
    hidden = [] if config.name == "adam" else [matrix for matrix in matrices[1:-1] if min(matrix.shape[:2]) > 4]
    chosen = {id(parameter) for parameter in hidden}
    rest = [parameter for parameter in parameters if id(parameter) not in chosen]
    adam_rate = config.learning_rate if config.name == "adam" else config.adam_rate
    # fused: one pass over the weights; torch's default takes ten, which a CPU feels
    fused = all(parameter.device.type in {"cpu", "cuda"} for parameter in rest)
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Adam(rest, adam_rate, betas=(config.beta1, config.beta2), fused=fused, capturable=runtime.replay)
    ]
    if hidden:
        optimizers.append(Muon(hidden, config.learning_rate))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["full_rate"] = group["lr"]
            group["lr"] = step_number(group["lr"], runtime)
    return optimizers


def step_number(value: float, runtime: Runtime, buffer: float | Tensor | None = None) -> float | Tensor:
    """Return a number that changes from step to step, for kernels that may be captured.

    A captured kernel reads it from `buffer` on the GPU; elsewhere it stays a Python float.
    """
    if not runtime.replay:
        return value
    return buffer.fill_(value) if isinstance(buffer, Tensor) else torch.tensor(value, device=runtime.device)
