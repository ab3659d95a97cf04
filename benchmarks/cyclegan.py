"""Speed of CycleGAN's step: ours against the same networks in float32 and the plain memory layout, side by side in one run.

    python benchmarks/cyclegan.py [--side 256] [--blocks 9] [--width 64] [--batch 1] [--repetitions 3] [--device auto] [--compile]

The plain step is that of the reference code: float32 (on a GPU without TF32), NCHW, the same losses, Adam. On a GPU plain bf16
autocast is timed as well, ours without CUDA graphs (`--set cuda_graphs=false`), and with --compile ours compiled
(`--set compile=true`) and not. Ratios are of medians over alternating repetitions.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import nullcontext
from dataclasses import replace

import torch

from restore import runtime
from restore.gan import build
from restore.gan.discriminator_trainer import GAN_ADAM, DiscriminatorConfig
from restore.gan.unpaired import CycleGANTrainer, CycleLossConfig, TranslationDirection
from restore.networks.resnet import ResnetConfig, ResnetGenerator
from restore.runtime import Runtime, memory_reused
from restore.training.cuda_graph import WARMUP_STEPS


def trainer(place: Runtime, options: argparse.Namespace, *, plain_layout: bool) -> CycleGANTrainer:
    """A fresh trainer; `plain_layout` undoes channels-last."""
    torch.manual_seed(0)
    translators = [
        TranslationDirection(
            ResnetGenerator(ResnetConfig(width=options.width, blocks=options.blocks)),
            build.discriminator_trainer(3, DiscriminatorConfig(width=options.width), place),
            GAN_ADAM, place, buffer_size=50, seed=index,
        )
        for index in range(2)
    ]  # fmt: skip
    built = CycleGANTrainer(translators[0], translators[1], CycleLossConfig(), place)
    if plain_layout:
        for state in built.train_states().values():
            state.network.to(memory_format=torch.contiguous_format)
    return built


def step(trained: CycleGANTrainer, batch: dict[str, torch.Tensor], place: Runtime, *, reused: bool) -> float:
    """Seconds of one step; `reused`: with freed memory kept for the next, as `training.loop` keeps it on a CPU."""
    since = time.perf_counter()
    with memory_reused(place.device) if reused else nullcontext():
        trained.step(batch)
    if place.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - since


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("side", 256), ("blocks", 9), ("width", 64), ("batch", 1), ("repetitions", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    ours = runtime.choose(options.device, compiled=options.compile, replayed=True)
    eager = replace(ours, compile=False)
    without_graphs = replace(eager, replay=False)
    plain = Runtime(ours.device, torch.float32)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    variants: dict[str, tuple[CycleGANTrainer, Runtime]] = {
        "restore": (trainer(ours, options, plain_layout=False), ours),
        "plain float32": (trainer(plain, options, plain_layout=True), plain),
    }
    if ours.device.type == "cuda":
        variants["plain autocast"] = (trainer(without_graphs, options, plain_layout=True), without_graphs)
        variants["no CUDA graphs"] = (trainer(without_graphs, options, plain_layout=False), without_graphs)
    if options.compile:
        variants["not compiled"] = (trainer(eager, options, plain_layout=False), eager)
    torch.backends.cudnn.benchmark = True
    batch = {name: torch.rand(options.batch, 3, options.side, options.side) for name in ("input", "target")}
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for trained, place in variants.values():
        for _ in range(WARMUP_STEPS + 3 if place.device.type == "cuda" else 2):
            step(trained, batch, place, reused=place is not plain)
    for _ in range(options.repetitions):
        for name, (trained, place) in variants.items():
            seconds[name].append(step(trained, batch, place, reused=place is not plain))
    print(torch.cuda.get_device_name(ours.device) if ours.device.type == "cuda" else "CPU", "in", ours.precision)
    ours_took = statistics.median(seconds["restore"])
    for name, took in seconds.items():
        middle = statistics.median(took)
        pace = options.batch / middle
        print(f"{name:15} {middle:7.3f} s a step, {pace:7.3f} images/s, restore is {middle / ours_took:.2f} times as fast")


if __name__ == "__main__":
    main()
