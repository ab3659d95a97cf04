"""What every adversarial trainer is made of: `Player` (a network that learns), and what is done with networks and batches around it."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from restore import processes
from restore.gan.muon import Muon
from restore.runtime import Runtime


@dataclass(frozen=True)
class OptimizerConfig:
    """How a network's weights move."""

    name: Literal["muon", "adam"] = field(
        default="muon", metadata={"help": "muon for hidden convolutions with Adam for the rest, or adam for all"}
    )
    learning_rate: float = field(default=0.02, metadata={"help": "muon's rate (0.02), or adam's (1e-3; 2e-4 in a game)", "range": (0, 10)})
    adam_rate: float = field(default=1e-3, metadata={"help": "under muon: Adam's rate for the first and last layer", "range": (0, 10)})
    beta1: float = field(default=0.9, metadata={"help": "Adam's decay of the mean (0.5 in a game: Radford et al. 2016)", "range": (0, 1)})
    beta2: float = field(default=0.98, metadata={"help": "Adam's decay of the square", "range": (0, 1)})
    warmup_steps: int = field(
        default=50, metadata={"help": "steps in which the rate rises linearly from zero", "range": (0, 1_000_000_000)}
    )
    decay_start: int = field(
        default=0, metadata={"help": "the step from which the rate falls linearly to `floor`", "range": (0, 1_000_000_000)}
    )
    decay_steps: int = field(
        default=20_000, metadata={"help": "steps in which it falls, whatever `steps` says", "range": (0, 1_000_000_000)}
    )
    floor: float = field(default=0.01, metadata={"help": "the share of the rate that remains at the end", "range": (0, 1)})
    clip: float = field(default=0.0, metadata={"help": "longest gradient allowed; 0 is any", "range": (0, 1e9)})
    ema: float = field(default=0.995, metadata={"help": "decay a step of the averaged weights, which are published", "range": (0, 1)})

    def __post_init__(self) -> None:
        for name in ("learning_rate", "adam_rate"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("beta1", "beta2", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in 0..1 and below 1, not {getattr(self, name)}")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor must be in 0..1, not {self.floor}")
        for name in ("clip", "warmup_steps", "decay_start", "decay_steps"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")


GAME = OptimizerConfig(
    "adam", 2e-4, beta1=0.5, beta2=0.999, warmup_steps=0, decay_start=100_000, decay_steps=100_000, floor=0.0, ema=0.999
)
"""The optimizer of the literature's games: Radford et al. 2016, section 4; the schedule of Zhu et al. 2017, section 7.1."""


class Player:
    """A network that learns, with its optimizers, its schedule and its average.

    Args:
        network: trained in float32, in the memory format of `runtime`; whoever calls it chooses the autocast.
        config: rates and averaging.
        runtime: device and precision.

    Attributes:
        network: what learns.
        average: its exponential moving average, buffers included.
        steps: updates so far.
        softened: multiplies the rate; below 1 after a collapse was rolled back.
        gradient_norm: of the last update, before clipping.
    """

    gradient_norm: Tensor

    def __init__(self, network: nn.Module, config: OptimizerConfig, runtime: Runtime) -> None:
        self.config, self.runtime = config, runtime
        self.network = network.to(runtime.device).to(memory_format=runtime.memory_format)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        if runtime.compile:
            self.network.compile()
        self.optimizers = _optimizers(self.network, config, runtime)
        self._follows = _number(0.0, runtime)
        self.scaler = torch.amp.GradScaler(runtime.device.type, enabled=runtime.dtype == torch.float16)
        self.steps = 0
        self.softened = 1.0
        self.gradient_norm = torch.zeros(())

    def gather(self, loss: Tensor) -> None:
        """Add the gradient of `loss` to what was gathered since the last update."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def follow(self) -> None:
        """Move along the gathered gradient, and the average behind."""
        self.move()
        self.scaler.update()

    def move(self) -> None:
        """`follow` for players of one common loss, who share a scaler: whoever moved them updates it once."""
        recorded = self.runtime.replay and torch.cuda.is_current_stream_capturing()
        if not recorded:  # what is, is replayed after a tick of its own
            self.tick()
        parameters = [parameter for parameter in self.network.parameters() if parameter.grad is not None]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        # before the scaler looks for infinite ones, so that all processes find the same
        processes.current().average(gradients)
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        self.gradient_norm = nn.utils.get_total_norm(gradients)
        if self.config.clip:
            nn.utils.clip_grads_with_norm_(parameters, self.config.clip, self.gradient_norm)
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
            optimizer.zero_grad(set_to_none=True)
        self._average()

    def tick(self) -> None:
        """Count a step and tell the optimizers and the average what is theirs at it: all of an update that Python decides."""
        rate = self.softened * schedule(self.config, self.steps)
        for group in self._groups():
            group["lr"] = _number(group["full_rate"] * rate, self.runtime, group["lr"])
        self.steps += 1
        # young averages follow faster, so that the first random weights are soon forgotten
        self._follows = _number(1 - min(self.config.ema, (1 + self.steps) / (10 + self.steps)), self.runtime, self._follows)

    def update(self, loss: Tensor) -> None:
        """Move along the gradient of one loss."""
        self.gather(loss)
        self.follow()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next update depends on."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "scaler": self.scaler.state_dict(),
            "steps": self.steps,
            "softened": self.softened,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Undo `state_dict`.

        Raises:
            ValueError: the state is of another network.
        """
        try:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
        except RuntimeError as error:
            odd = " ".join(str(error).partition("\n")[2].partition("\n")[0].split())
            raise ValueError(f"a run can only be resumed with the networks it began with: {odd}") from error
        if len(state["optimizers"]) != len(self.optimizers):
            raise ValueError("a run can only be resumed with the optimizers it began with: keep optimizer.name")
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            # how an update is computed is a matter of this machine, not of the one where the run began
            ours = [{key: group[key] for key in OF_THE_MACHINE if key in group} for group in optimizer.param_groups]
            groups = [group | own for group, own in zip(saved["param_groups"], ours, strict=True)]
            optimizer.load_state_dict({**saved, "param_groups": groups})
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.steps, self.softened = int(state["steps"]), float(state["softened"])

    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    @torch.no_grad()
    def _average(self) -> None:
        processes.current().average([buffer for buffer in self.network.buffers() if buffer.is_floating_point()])
        averages: list[Tensor] = [*self.average.parameters()]
        news: list[Tensor] = [*self.network.parameters()]
        if isinstance(self._follows, float):
            torch._foreach_lerp_(averages, news, self._follows)
        else:  # which takes no number that is on the GPU
            ways = [*torch._foreach_sub(news, averages)]
            torch._foreach_mul_(ways, self._follows)
            torch._foreach_add_(averages, ways)
        for average, buffer in zip(self.average.buffers(), self.network.buffers(), strict=True):
            average.copy_(buffer)


def schedule(config: OptimizerConfig, step: int) -> float:
    """The share of the full rate at `step`: linear up, level, linear down to `floor`. How long the run is does not matter."""
    up = min(1.0, (step + 1) / max(1, config.warmup_steps))
    down = (step - config.decay_start) / max(1, config.decay_steps)
    return up * (1 - (1 - config.floor) * min(1.0, max(0.0, down)))


OF_THE_MACHINE = ("lr", "fused", "capturable")
"""Settings of an optimizer's group that are no part of the run."""


def _number(value: float, runtime: Runtime, place: float | Tensor | None = None) -> float | Tensor:
    """A number that changes from step to step, for kernels that may be replayed: then it is read from `place` on the GPU."""
    if not runtime.replay:
        return value
    return place.fill_(value) if isinstance(place, Tensor) else torch.tensor(value, device=runtime.device)


def _optimizers(network: nn.Module, config: OptimizerConfig, runtime: Runtime) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices and Adam for the first and last layer and all vectors; or Adam for all."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in parameters if parameter.dim() >= 2]
    # layers that meet pictures are no matrices of many directions, wherever they stand
    hidden = [] if config.name == "adam" else [matrix for matrix in matrices[1:-1] if min(matrix.shape[:2]) > 4]
    chosen = {id(parameter) for parameter in hidden}
    rest = [parameter for parameter in parameters if id(parameter) not in chosen]
    adam_rate = config.learning_rate if config.name == "adam" else config.adam_rate
    # in one pass over the weights; of its own accord torch takes ten, which a CPU waits for
    fused = all(parameter.device.type in {"cpu", "cuda"} for parameter in rest)
    made: list[torch.optim.Optimizer] = [
        torch.optim.Adam(rest, adam_rate, betas=(config.beta1, config.beta2), fused=fused, capturable=runtime.replay)
    ]
    if hidden:
        made.append(Muon(hidden, config.learning_rate))
    for entry in made:
        for group in entry.param_groups:
            group["full_rate"] = group["lr"]
            group["lr"] = _number(group["lr"], runtime)
    return made


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Within, no parameter of `networks` gathers a gradient, though gradients pass through them; afterwards all is as before."""
    parameters = [parameter for network in networks for parameter in network.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Within, `network` is in evaluation mode: no dropout, and its normalisations learn nothing."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def split(batch: Mapping[str, Tensor], parts: int) -> list[dict[str, Tensor]]:
    """A batch (tensors of equal length B) as `parts` equal ones, whose gradients are gathered one after the other, to save memory.

    Raises:
        ValueError: B is no multiple of `parts`.
    """
    length = len(next(iter(batch.values())))
    if length % parts:
        raise ValueError(f"{length} pictures a step and process cannot go through in {parts} equal parts (loop.accumulate)")
    chunks = {name: tensor.chunk(parts) for name, tensor in batch.items()}
    return [{name: pieces[index] for name, pieces in chunks.items()} for index in range(parts)]


def mean(told: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each loss over the parts of a batch."""
    return {name: torch.stack([losses[name].detach() for losses in told]).mean() for name in told[0]}
