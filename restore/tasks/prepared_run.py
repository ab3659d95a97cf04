"""What every `prepare` of METHODS returns, a run that is ready for the loop, and what they all need to make one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from restore import distributed
from restore.networks import meta_device
from restore.networks.generators.spec import Generator
from restore.networks.spec import RestorationNetwork
from restore.runtime import Runtime, choose
from restore.training.loop_config import LoopConfig
from restore.training.trainer import Trainer
from restore.training.training_config import TrainingConfig
from restore.training.validation import Validation
from restore.weights_file import Recipe

Images = TypeVar("Images")
TEST_FRACTION = {
    "help": "fraction of the images held out for previews, where the dataset has no split",
    "range": (0, 1),
    "below": 1,
}
"""The metadata of `data.test_fraction`."""


@dataclass(frozen=True)
class Prepared:
    """A run that is ready for the loop.

    Attributes:
        trainer: with its networks built.
        dataset: the training crops; `dataset[i]` is a function of i alone.
        preview_batch: four samples for the preview grids.
        recipe: header of the weights: task, network and settings.
        stats: what was found: images, parameters, device, precision.
        skipped: returns the images that could not be used so far, each with its reason.
        validation: held-out samples and metrics; None where no images are held out, or they have no targets.
        summary: what is trained, one sentence for the card; "": as the table METHODS has it.
        held_out: the pictures that are never trained on.
    """

    trainer: Trainer
    dataset: Dataset[dict[str, Tensor]]
    preview_batch: Mapping[str, Tensor]
    recipe: Recipe
    stats: dict[str, object]
    skipped: Callable[[], Mapping[Path, str]] = dict
    validation: Validation | None = None
    summary: str = ""
    held_out: Sequence[Path] = ()


def runtime_of(config: TrainingConfig) -> Runtime:
    """The device and the precision of a run.

    Raises:
        ValueError: the machine lacks them.
    """
    return choose(config.device, config.precision, compiled=config.compile, replayed=config.cuda_graphs)


def check_crop(crop: int, multiple: int, network: str) -> None:
    """Raise ValueError if crops of this side do not fit a network (a word for the message), whose input must be a multiple."""
    if crop < multiple or crop % multiple:
        raise ValueError(f"data.crop must be a multiple of {multiple} for this {network}, not {crop}")


def first_batch(dataset: Dataset[dict[str, Tensor]], count: int) -> Mapping[str, Tensor]:
    """The first `count` items of a dataset, stacked."""
    batch: dict[str, Tensor] = default_collate([dataset[index] for index in range(count)])
    return batch


def preview_batch(batch_of: Callable[[Images], Mapping[str, Tensor]], test: Images | None, train: Images) -> Mapping[str, Tensor]:
    """A batch of the held-out images, or of the training images if none are held out or none can be read.

    Args:
        batch_of: makes a batch of images.
        test: the held-out images; None if there are none.
        train: the training images.
    """
    if test is not None:
        try:
            return batch_of(test)
        except ValueError:
            pass  # each unreadable image was logged
    return batch_of(train)


def count_parameters(*networks: nn.Module) -> int:
    """Count the parameters of some networks together."""
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


def check_memory(
    runtime: Runtime, loop: LoopConfig, *, network: RestorationNetwork | Generator, networks_trained: int = 1,
    crop: int, channels: int, side: float,
) -> None:  # fmt: skip
    """Check that a training can fit into memory, before anything of it is built.

    Args:
        runtime: where the networks are trained.
        loop: how many crops are in a batch, and in how many parts it goes through the network.
        network: what is trained, on the device `meta` (see `networks.plan`).
        networks_trained: number of such networks.
        crop: side in pixels.
        channels: of a crop.
        side: the longest side to which an image, or the piece of it that becomes a crop, is resized.

    Raises:
        ValueError: it cannot; the text names the setting to lower.
    """
    count = networks_trained * meta_device.parameters(network)
    meta_device.check_memory(meta_device.COPIES * count, f"the network has {count} parameters: make it smaller", runtime.device)
    batch_size = loop.batch_size // distributed.current().world_size
    crops = 2 * batch_size * channels * crop**2
    what = f"a batch of {batch_size} crops of {crop} x {crop}: lower loop.batch_size or data.crop"
    meta_device.check_memory(crops, what, runtime.device)
    meta_device.check_memory(
        channels * int(side) ** 2,
        f"pictures of {int(side)} x {int(side)} pixels: lower data.sides or raise data.scales",
    )
    maps = batch_size // loop.accumulate * meta_device.activations(network, partial(network.example, crop))
    half = runtime.dtype != torch.float32
    meta_device.check_memory(maps // 2 if half else maps, f"{what}, or raise loop.accumulate, for the feature maps", runtime.device)
