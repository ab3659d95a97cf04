"""The settings that all training methods share."""

from __future__ import annotations

from dataclasses import dataclass, field

from restore.limits import check_fields
from restore.training.loop_config import LoopConfig
from restore.training.optimizers import OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """What every run needs, whatever it trains; a method's configuration adds its own groups."""

    seed: int = field(default=0, metadata={"help": "of the crops, their degradation and the initial weights", "range": (0, 2**63 - 3)})
    precision: str = field(default="auto", metadata={"help": "auto, fp32, bf16 or fp16 (autocast; the weights stay float32)"})
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda, cuda:N or mps"})
    compile: bool = field(default=False, metadata={"help": "compile the trained networks (torch.compile); pays off in long runs"})
    cuda_graphs: bool = field(default=True, metadata={"help": "on a GPU: capture a step's kernels once and replay them"})
    start_from: str | None = field(
        default=None, metadata={"help": "weights (name or file) to start from; their network's settings are taken over"}
    )
    augment_with: str | None = field(
        default=None, metadata={"help": "weights (name or file) of a generator whose pictures are mixed into the training pictures"}
    )
    augment_fraction: float = field(
        default=0.25, metadata={"help": "fraction of the training pictures that are generated, with augment_with", "range": (0, 1)}
    )
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        check_fields(self)
