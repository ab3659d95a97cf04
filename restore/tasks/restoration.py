"""What all runs share that learn to undo a damage: clean pictures, the damage made on the fly, a network and the paired trainer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch.utils.data import default_collate

from restore import networks, processes, runtime, weights
from restore.datasets import crops, folders
from restore.gan import opponent as opponents
from restore.gan.core import GAME, OptimizerConfig
from restore.gan.health import HealthConfig
from restore.gan.opponent import OpponentConfig
from restore.gan.paired import LossConfig, PairedTrainer
from restore.networks import ModelSpec, NetworkConfig
from restore.networks.spec import Condition
from restore.networks.unet import UNetConfig
from restore.networks.weight_transfer import transfer
from restore.tasks.prepared import Prepared, check_memory, count
from restore.training.config import as_dict
from restore.training.loop import LoopConfig


@dataclass(frozen=True)
class DataConfig:
    """What it is trained on."""

    channels: Literal[1, 3] = field(default=1, metadata={"help": "1 gray (colour pictures become luma), 3 colour"})
    include: tuple[str, ...] = field(default=(), metadata={"help": "glob patterns under the dataset; empty: every picture", "inside": True})
    crop: int = field(default=96, metadata={"help": "side of a training crop in pixels", "range": (1, 8192)})
    scales: tuple[float, float] = field(
        default=(1.0, 1.0), metadata={"help": "range of the factor a picture is shrunk by first", "range": (0.01, 100), "rising": True}
    )
    scaled_share: float = field(default=1.0, metadata={"help": "share of the crops that are shrunk", "range": (0, 1)})
    gain: tuple[float, float] = field(
        default=(1.0, 1.0), metadata={"help": "range of the factor on a crop's contrast", "range": (1e-3, 1000), "rising": True}
    )
    test_share: float = field(
        default=0.05, metadata={"help": "share of the pictures kept for previews, where no split is given", "range": (0, 1)}
    )


@dataclass(frozen=True, kw_only=True)
class RestorationConfig:
    """What decides every such run, whatever the damage."""

    seed: int = field(default=0, metadata={"help": "of the crops, their damage and the first weights", "range": (0, 2**63 - 3)})
    precision: str = field(
        default="auto", metadata={"help": "auto, fp32, bf16 or fp16 (autocast; the weights stay float32)"}
    )
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda, cuda:N or mps"})
    compile: bool = field(default=False, metadata={"help": "compile the networks that learn (torch.compile); pays in long runs"})
    cuda_graphs: bool = field(default=True, metadata={"help": "on a GPU: record a round's kernels once and replay them"})
    start_from: str | None = field(
        default=None, metadata={"help": "weights (name or file) to start from, gray or colour and of any scale alike"}
    )
    network: NetworkConfig = field(default=UNetConfig(), metadata={"variants": networks.CONFIGS})
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    opponent: OpponentConfig = field(
        default=OpponentConfig(network="unet", objective="vanilla", optimizer=replace(GAME, learning_rate=1e-4))
    )
    health: HealthConfig = field(default_factory=HealthConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)


def prepare(
    root: Path, config: RestorationConfig, *, task: str, damage: crops.Damage, scale: int = 1, condition: Condition | None = None,
    ageing: crops.Ageing | None = None, wanted: crops.Wanted | None = None,
) -> Prepared:
    """Find the pictures, build the network and the trainer.

    Args:
        root: the dataset's folder.
        config: the resolved configuration.
        task: what the weights will be for.
        damage: what is to be undone.
        scale: how many times the network enlarges.
        condition: the map that `damage` makes beside the picture, if any.
        ageing: what is done to clean crops first, and not undone.
        wanted: what is to be made of a clean and a damaged crop, where it is not the clean one.

    Raises:
        ValueError: no pictures, an unknown network, device or precision, or unusable settings.
    """
    settings = networks.settings_of(config.network, channels=config.data.channels, scale=scale)
    planned = networks.plan(config.network.name, settings)
    _check_network(config.network.name, planned.spec, task, condition)
    _check(config, planned.spec.multiple * scale)
    place = runtime.choose(config.device, config.precision, compiled=config.compile, replayed=config.cuda_graphs)
    check_memory(
        place, network=planned, batch_size=config.loop.batch_size // processes.current().count, crop=config.data.crop,
        channels=config.data.channels, side=config.data.crop / config.data.scales[0],
    )  # fmt: skip
    runtime.seed_everything(config.seed)
    train, test = folders.split(
        folders.pictures(root, config.data.include), root, share=config.data.test_share, seed=config.seed
    )
    restorer = networks.build(config.network.name, **settings)
    if config.start_from:
        transfer(weights.load(weights.find(config.start_from).path)[0], restorer)
    opponent = None
    if config.losses.adversarial_weight:
        opponent = opponents.build(
            config.data.channels, config.opponent, place, side=config.data.crop, holes=condition == "mask"
        )
    trainer = PairedTrainer(
        restorer, config.optimizer, place, losses=config.losses, opponent=opponent, health_config=config.health,
        parts=config.loop.accumulate,
    )  # fmt: skip
    make = partial(_crops, data=config.data, damage=damage, condition=condition or "", more={"ageing": ageing, "wanted": wanted})
    recipe = {"task": task, "network": config.network.name, "settings": settings, "training": as_dict(config)}
    dataset = make(train, seed=config.seed, length=config.loop.steps * config.loop.batch_size)
    facts = {
        "training pictures": len(train),
        "held-out pictures": len(test),
        "parameters": count(restorer),
        "device": str(place.device),
        "precision": place.precision,
    }
    preview = partial(make, seed=config.seed + 1, length=4)
    return Prepared(trainer, dataset, _preview(preview, test, dataset), recipe, facts, lambda: dataset.pictures.bad)


def _preview(make: Callable[..., crops.DamagedCrops], test: list[Path], dataset: crops.DamagedCrops) -> dict[str, Any]:
    """Four samples of the held-out pictures, or of the training pictures where none of those can be read."""
    if test:
        try:
            return _four(make(test))
        except ValueError:
            pass  # each was reported
    return _four(make(dataset.pictures.files, pictures=dataset.pictures))


def _four(samples: crops.DamagedCrops) -> dict[str, Any]:
    return dict(default_collate([samples[index] for index in range(4)]))


def _crops(
    files: list[Path], *, data: DataConfig, damage: crops.Damage, condition: str, more: dict[str, Any], seed: int, length: int,
    pictures: crops.Pictures | None = None,
) -> crops.DamagedCrops:  # fmt: skip
    return crops.DamagedCrops(
        files, crop=data.crop, channels=data.channels, damage=damage, seed=seed, length=length, scales=data.scales,
        scaled_share=data.scaled_share, gain=data.gain, condition=condition, pictures=pictures, **more,
    )  # fmt: skip


def _check_network(name: str, spec: ModelSpec, task: str, condition: Condition | None) -> None:
    """Check that a network takes the maps that a method makes.

    Raises:
        ValueError: it takes another, or none where the task needs one.
    """
    others = [taken for taken in spec.conditions if taken != condition]
    if others:
        raise ValueError(f"network {name!r} takes a {others[0]} map, which {task} does not make: choose another network.name")
    if condition == "mask" and not spec.takes_mask:
        raise ValueError(f"network {name!r} takes no mask, which {task} needs: choose another network.name")


def _check(config: RestorationConfig, multiple: int) -> None:
    if config.seed < 0:
        raise ValueError(f"seed must not be negative, not {config.seed}")
    if config.data.crop < multiple or config.data.crop % multiple:
        raise ValueError(f"data.crop must be a multiple of {multiple} for this network, not {config.data.crop}")
    for name in ("scales", "gain"):
        low, high = getattr(config.data, name)
        if not 0 < low <= high:
            raise ValueError(f"data.{name} must be two rising numbers above 0, not {low}, {high}")
    if not 0 <= config.data.scaled_share <= 1:
        raise ValueError(f"data.scaled_share must be in 0..1, not {config.data.scaled_share}")
    if not 0 <= config.data.test_share < 1:
        raise ValueError(f"data.test_share must be in 0..1, not {config.data.test_share}")
