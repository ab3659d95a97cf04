"""What is exported: a network as a graph whose output is the restored picture, with its conditions as inputs.

The residual, its scale, the hole's value and a generator's limits are inside the graph, so that a program needs this suite for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn

from restore.exporting.facts import Facts
from restore.images.quantisation import STEP_ERROR
from restore.networks.error_head import SIDE
from restore.networks.generators.spec import Generator
from restore.networks.inpainter import HOLE
from restore.networks.resample import enlarge
from restore.networks.spec import CONDITION_CHANNELS, Condition, RestorationNetwork

BATCH, HEIGHT, WIDTH = "batch", "height", "width"
ROWS, COLUMNS = "rows", "columns"
"""Axes whose length the caller chooses; height and width are `multiple` times as long as rows and columns."""
SIGNED = 0.25
"""Limit of what a filter took away from a picture, in the check."""


@dataclass(frozen=True)
class Input:
    """One input of a graph, as its metadata describe it.

    Attributes:
        name: of the tensor.
        shape: of its axes, each a length or the name of a free one.
        low, high: the range of its usual values.
        meaning: one sentence.
        integer: whether it holds int64 instead of float32.
    """

    name: str
    shape: tuple[int | str, ...]
    low: float
    high: float
    meaning: str
    integer: bool = False


@dataclass(frozen=True)
class Graph:
    """A network that can be exported.

    Attributes:
        module: takes the inputs in their order.
        inputs: at least one.
        outputs: the names of what it returns.
        multiple: the sides of a picture must be multiples of this.
        facts: what the metadata say besides; see `facts`.
    """

    module: nn.Module
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    multiple: int = 1
    facts: Facts = field(default_factory=dict)

    def metadata(self) -> Facts:
        """The facts, the multiple, and what goes in and out."""
        return {**self.facts, "multiple": self.multiple, "inputs": [asdict(entry) for entry in self.inputs], "outputs": list(self.outputs)}


MEANINGS: Mapping[Condition, tuple[float, float, str]] = {
    "noise": (0.0, 0.3, "standard deviation of the noise at each pixel, in units of the picture"),
    "mask": (0.0, 1.0, "1 where the picture is missing, 0 elsewhere"),
    "quantisation": (
        float(STEP_ERROR), float(255 * STEP_ERROR),
        "step of the luma coefficient (v, u) at the pixel (v, u) of each JPEG block of 8 x 8 pixels, divided by 255 sqrt(12)",
    ),
    "blur": (
        -SIGNED, SIGNED,
        "blurred minus sharper picture; then ten times the noise's standard deviation times the filter's gain, and times the blur's width",
    ),
}  # fmt: skip
"""Condition -> the range of its usual values, and what it is."""


class Restoring(nn.Module):
    """Picture and conditions -> the restored picture (B, C, scale H, scale W)."""

    def __init__(self, network: RestorationNetwork) -> None:
        super().__init__()
        self.network, self.spec = network, network.spec

    def forward(self, *inputs: Tensor) -> Tensor:
        """(B, C, H, W), (B, K, H, W) ... -> (B, C, scale H, scale W)."""
        picture, *conditions = inputs
        if self.spec.takes_mask:
            picture = torch.where(conditions[0] > 0.5, HOLE, picture)
        result: Tensor = self.network(picture, *conditions)
        return result + enlarge(picture, self.spec.scale) if self.spec.output == "residual" else result


class Correcting(nn.Module):
    """Picture and conditions -> what the network returns, for engines: they add it themselves."""

    def __init__(self, network: RestorationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        """(B, C, H, W), (B, K, H, W) ... -> (B, C, scale H, scale W)."""
        result: Tensor = self.network(*inputs)
        return result


class Generating(nn.Module):
    """Latent vector, label and pixel noise, as far as the generator takes them -> pictures (B, C, S, S) in [0, 1]."""

    def __init__(self, network: Generator) -> None:
        super().__init__()
        self.network = network
        self.labels, self.noise = network.spec.classes > 0, network.spec.pixel_noise > 0

    def forward(self, *inputs: Tensor) -> Tensor:
        """(B, Z), (B), (B, N) -> (B, C, S, S)."""
        rest = list(inputs[1:])
        labels = rest.pop(0) if self.labels else None
        pictures: Tensor = self.network(inputs[0], labels, rest.pop(0) if self.noise else None)
        return pictures.clamp(0, 1)


class Judging(nn.Module):
    """An error head, with its tuple of results as a plain one."""

    def __init__(self, network: RestorationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """See `ErrorHead.forward`."""
        expected, bound = self.network(*inputs)
        return expected, bound


def _picture_inputs(network: RestorationNetwork) -> tuple[Input, ...]:
    free = (HEIGHT, WIDTH)
    conditions = [Input(name, (BATCH, CONDITION_CHANNELS[name], *free), *MEANINGS[name]) for name in network.spec.conditions]
    return Input("picture", (BATCH, network.spec.channels, *free), 0.0, 1.0, "the picture, black 0 and white 1"), *conditions


def restoring(network: RestorationNetwork, facts: Facts) -> Graph:
    """The graph of a network of pictures; the network must be in evaluation mode."""
    spec = network.spec
    about: Facts = {
        "scale": spec.scale, "overlap": spec.overlap, "homogeneous": spec.homogeneous,
        "whole_picture": spec.sees_whole_image or spec.needs_whole_image,
    }  # fmt: skip
    return Graph(Restoring(network).eval(), _picture_inputs(network), ("restored",), spec.multiple, {**facts, **about})


def correcting(network: RestorationNetwork) -> Graph:
    """The graph of what a network returns, for an engine."""
    return Graph(Correcting(network).eval(), _picture_inputs(network), ("correction",), network.spec.multiple)


def generating(network: Generator, facts: Facts) -> Graph:
    """The graph of a generator."""
    spec = network.spec
    inputs = [Input("latent", (BATCH, spec.latent), -2.0, 2.0, "drawn from N(0, 1); times a number below 1 for more typical pictures")]
    if spec.classes:
        inputs.append(Input("label", (BATCH,), 0, spec.classes - 1, "the number of the class", integer=True))
    if spec.pixel_noise:
        inputs.append(Input("noise", (BATCH, spec.pixel_noise), -2.0, 2.0, "drawn from N(0, 1)"))
    return Graph(Generating(network).eval(), tuple(inputs), ("picture",), facts=facts)


def judging(network: RestorationNetwork, facts: Facts) -> Graph:
    """The graph of an error head."""
    channels, free = network.spec.channels, (HEIGHT, WIDTH)
    inputs = (
        Input("restored", (BATCH, channels, *free), 0.0, 1.0, "a restored picture, black 0 and white 1"),
        Input("residual", (BATCH, channels, *free), -0.1, 0.1, "the picture that the network saw, enlarged to this size, minus `restored`"),
        Input("unit", (BATCH, 1, ROWS, COLUMNS), 0.01, 0.2, f"unit of the error in each block of {SIDE} x {SIDE} pixels, above 0"),
    )
    return Graph(Judging(network).eval(), inputs, ("expected", "bound"), SIDE, facts)
