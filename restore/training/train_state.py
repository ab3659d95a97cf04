"""`TrainState`: a network with its optimizers, its schedule and its average; and the modes a network can be put into."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from restore import distributed
from restore.runtime import Runtime
from restore.training.optimizers import OptimizerConfig, beta2, build_optimizers, schedule, step_number

SMALLEST_LR_SCALE = 1 / 16
"""The learning rate is not halved any further."""


StateDict = dict[str, Any]
"""What a step depends on, for `torch.save`: tensors, numbers, texts, and lists and dictionaries of them."""


class TrainState:
    """A network that is trained, with its optimizers, its schedule and its exponential moving average.

    Args:
        network: trained in float32, in the memory format of `runtime`; the caller chooses the autocast.
        config: rates and averaging.
        runtime: device and precision.

    Attributes:
        network: the network that is trained.
        average: its exponential moving average, buffers included.
        steps: updates so far.
        lr_scale: multiplies the learning rate; below 1 after a rollback.
        gradient_norm: of the last update, before clipping.
    """

    gradient_norm: Tensor

    def __init__(self, network: nn.Module, config: OptimizerConfig, runtime: Runtime) -> None:
        self.config, self.runtime = config, runtime
        self.network = network.to(runtime.device).to(memory_format=runtime.training_format)
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        if runtime.compile:
            self.network.compile()
        self.optimizers = build_optimizers(self.network, config, runtime)
        self._ema_weight = step_number(0.0, runtime)
        self.scaler = torch.amp.GradScaler(runtime.device.type, enabled=runtime.dtype == torch.float16)
        self.steps = 0
        self.lr_scale = 1.0
        self.gradient_norm = torch.zeros(())

    def accumulate(self, loss: Tensor) -> None:
        """Add the gradient of `loss` to the gradients since the last update."""
        self.scaler.scale(loss).backward()

    def optimizer_step(self) -> None:
        """Apply the accumulated gradients and update the average."""
        self.apply_gradients()
        self.scaler.update()

    def apply_gradients(self) -> None:
        """Do `optimizer_step` without updating the scaler, which states with a common loss share: update it once for all."""
        captured = self.runtime.replay and torch.cuda.is_current_stream_capturing()
        if not captured:  # before each replay, `CUDAGraphStep` calls it
            self.update_schedule()
        parameters = [parameter for parameter in self.network.parameters() if parameter.grad is not None]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        # before the scaler looks for infinite gradients, so that all processes find the same
        distributed.current().average(gradients)
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        self.gradient_norm = nn.utils.get_total_norm(gradients)
        if self.config.clip:
            nn.utils.clip_grads_with_norm_(parameters, self.config.clip, self.gradient_norm)
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
            optimizer.zero_grad(set_to_none=True)
        self._update_average()

    def update_schedule(self) -> None:
        """Count a step and set the learning rates and the average's decay: everything in an update that Python decides."""
        rate = self.lr_scale * schedule(self.config, self.steps)
        for group in self._groups():
            group["lr"] = step_number(group["full_rate"] * rate, self.runtime, group["lr"])
            if self.config.beta2_start and "betas" in group:
                group["betas"] = (self.config.beta1, beta2(self.config, self.steps))
        self.steps += 1
        # a young average follows faster, so that it soon forgets the random weights of the start
        decay = min(self.config.ema, (1 + self.steps) / (10 + self.steps))
        self._ema_weight = step_number(1 - decay, self.runtime, self._ema_weight)

    def update(self, loss: Tensor) -> None:
        """Apply the gradient of one loss."""
        self.accumulate(loss)
        self.optimizer_step()

    def scale_learning_rate(self) -> None:
        """Halve the learning rate from now on.

        Raises:
            ValueError: it was halved so often that halving it again will not help.
        """
        if self.lr_scale <= SMALLEST_LR_SCALE:
            raise ValueError(f"the learning rate was halved to {self.lr_scale:g} of what was set, and the run still fails")
        self.lr_scale /= 2

    def state_dict(self) -> StateDict:
        """Return everything that the next update depends on."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "scaler": self.scaler.state_dict(),
            "steps": self.steps,
            "lr_scale": self.lr_scale,
        }

    def load_state_dict(self, state: StateDict) -> None:
        """Restore what `state_dict` returned; rates, betas and schedule stay those of `config`, and a halved rate stays halved.

        Raises:
            ValueError: the state belongs to another network, or to other optimizers.
        """
        try:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
        except RuntimeError as error:
            mismatch = " ".join(str(error).partition("\n")[2].partition("\n")[0].split())
            raise ValueError(f"a run can only be resumed with the networks it began with: {mismatch}") from error
        if len(state["optimizers"]) != len(self.optimizers):
            raise ValueError("a run can only be resumed with the optimizers it began with: keep optimizer.name")
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            # only the numbers of the parameters are the checkpoint's: all other options follow from the configuration and the step
            groups = [own | {"params": group["params"]} for group, own in zip(saved["param_groups"], optimizer.param_groups, strict=True)]
            optimizer.load_state_dict({**saved, "param_groups": groups})
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.steps, self.lr_scale = int(state["steps"]), float(state["lr_scale"])

    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    @torch.no_grad()
    def _update_average(self) -> None:
        distributed.current().average([buffer for buffer in self.network.buffers() if buffer.is_floating_point()])
        averages: list[Tensor] = [*self.average.parameters()]
        current: list[Tensor] = [*self.network.parameters()]
        if isinstance(self._ema_weight, float):
            torch._foreach_lerp_(averages, current, self._ema_weight)
        else:  # lerp takes no weight that lies on the GPU
            differences = [*torch._foreach_sub(current, averages)]
            torch._foreach_mul_(differences, self._ema_weight)
            torch._foreach_add_(averages, differences)
        for average, buffer in zip(self.average.buffers(), self.network.buffers(), strict=True):
            average.copy_(buffer)


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Within, no parameter of `networks` accumulates a gradient, though gradients pass through."""
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
    """Within, `network` is in evaluation mode: no dropout, and normalisations keep their statistics."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
