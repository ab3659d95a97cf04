"""What the suite can be trained for: one table `METHODS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from restore.tasks import (
    artifacts_training,
    colorize_training,
    denoise_training,
    enhance_training,
    generate_training,
    inpaint_training,
    scratches_training,
    sharpen_training,
    translate_training,
    upscale_training,
)
from restore.tasks.prepared_run import Prepared
from restore.training.training_config import TrainingConfig

Config = TypeVar("Config", bound=TrainingConfig)


@dataclass(frozen=True)
class Method(Generic[Config]):
    """One training method of `restore train`.

    Attributes:
        summary: one sentence for help texts.
        config: the frozen dataclass with every setting.
        prepare: dataset folder and configuration -> a run that is ready for the loop.
        task: the task of its weights.
        group: name of the network's settings in the configuration.
    """

    summary: str
    config: type[Config]
    prepare: Callable[[Path, Config], Prepared]
    task: str
    group: str = "network"


METHODS: Mapping[str, Method[Any]] = {
    "denoise": Method("denoising, from clean pictures", denoise_training.DenoiseConfig, denoise_training.prepare, "denoise"),
    "upscale": Method("super-resolution, from clean pictures", upscale_training.UpscaleConfig, upscale_training.prepare, "upscale"),
    "inpaint": Method("filling holes, from clean pictures", inpaint_training.InpaintConfig, inpaint_training.prepare, "inpaint"),
    "scratches": Method(
        "detecting scratches and dust, from clean pictures", scratches_training.ScratchesConfig, scratches_training.prepare, "scratches"
    ),
    "artifacts": Method(
        "removing JPEG artefacts, from clean pictures", artifacts_training.ArtifactsConfig, artifacts_training.prepare, "artifacts"
    ),
    "sharpen": Method("removing blur, from clean pictures", sharpen_training.SharpenConfig, sharpen_training.prepare, "sharpen"),
    "colorize": Method("colouring, from colour pictures", colorize_training.ColorizeConfig, colorize_training.prepare, "colorize"),
    "enhance": Method(
        "mending exposure and colours, from good pictures", enhance_training.EnhanceConfig, enhance_training.prepare, "enhance"
    ),
    "cyclegan": Method(
        "translating between two domains of pictures, both ways",
        translate_training.CycleGANConfig,
        translate_training.cyclegan,
        "translate",
        "generator",
    ),
    "pix2pix": Method(
        "translating, from pairs of pictures", translate_training.Pix2PixConfig, translate_training.pix2pix, "translate", "generator"
    ),
    "gan": Method(
        "generating, with the networks and the loss of the first GAN",
        generate_training.GANConfig,
        generate_training.prepare,
        "generate",
        "generator",
    ),
    "dcgan": Method(
        "generating, with convolutions (DCGAN)", generate_training.DCGANRunConfig, generate_training.prepare, "generate", "generator"
    ),
    "wgan": Method(
        "generating, with the Wasserstein distance and a gradient penalty (WGAN-GP)",
        generate_training.WGANConfig,
        generate_training.prepare,
        "generate",
        "generator",
    ),
    "cgan": Method(
        "generating pictures of a class (conditional GAN)", generate_training.CGANConfig, generate_training.prepare, "generate", "generator"
    ),
    "stylegan": Method(
        "generating, with styles and adaptive augmentation (StyleGAN2-ADA)",
        generate_training.StyleGANConfig,
        generate_training.prepare,
        "generate",
        "generator",
    ),
    "r3gan": Method(
        "generating pictures of 28 to 64 pixels (R3GAN)",
        generate_training.R3GANRunConfig,
        generate_training.prepare,
        "generate",
        "generator",
    ),
    "fastgan": Method(
        "generating pictures of 64 to 512 pixels, from few (FastGAN)",
        generate_training.FastGANRunConfig,
        generate_training.prepare,
        "generate",
        "generator",
    ),
}
