"""`restore train artifacts`: clean images, JPEG compression, and a network that removes its artefacts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from restore.datasets import batch_compression, compression
from restore.datasets.compression import CompressionConfig
from restore.networks import CONFIGS, NetworkConfig
from restore.networks.luma_chroma_unet import LumaChromaUNetConfig
from restore.tasks import restoration_setup
from restore.tasks.prepared_run import Prepared
from restore.tasks.restoration_setup import DataConfig, Problem, RestorationConfig

NETWORK = LumaChromaUNetConfig(
    widths=(32, 56, 80, 80), blocks=(4, 3, 1, 1), chroma_widths=(32, 56, 72), condition="quantisation", luminance="bt601"
)


@dataclass(frozen=True, kw_only=True)
class ArtifactsConfig(RestorationConfig):
    """The settings of a run."""

    network: NetworkConfig = field(default=NETWORK, metadata={"variants": CONFIGS})
    data: DataConfig = field(default=DataConfig(channels=3))
    compression: CompressionConfig = field(default_factory=CompressionConfig)


def prepare(root: Path, config: ArtifactsConfig) -> Prepared:
    """Find the images, build the network and the trainer; see `restoration_setup.prepare`."""
    problem = Problem(
        partial(compression.compress, config=config.compression),
        condition="quantisation",
        global_degradation=partial(compression.some_gray, config=config.compression),
        batch_degradation=partial(batch_compression.compress, config=config.compression),
        batch_global_degradation=partial(batch_compression.some_gray, config=config.compression),
    )
    return restoration_setup.prepare(root, config, problem, task="artifacts")
