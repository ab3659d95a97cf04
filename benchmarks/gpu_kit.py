"""Trains the suite's networks on a GPU machine that is at hand for minutes, and brings back what goes on elsewhere.

    python benchmarks/gpu_kit.py pack DATASETS --job denoise-gray --job upscale-x4 --out gpu-kit [--limit 64] [--wheels DIR]
    bash gpu-kit/run.sh --job denoise-gray --job upscale-x4 --minutes 12 --out DIR     (there)
    python benchmarks/gpu_kit.py unpack DIR --runs runs/gpu                            (here again)

`pack` makes a folder of at most so many MiB with the code, the pictures of the jobs and their listing. `run` trains one job after the
other, each for its part of the minutes: some steps to measure the pace, then as many as the time allows, with a constant rate that falls in
the last third. Every minute it validates, writes a checkpoint and copies the run to DIR. It prints crops and TFLOP per second (three times
those of the forward pass) and their share of the card's peak. Jobs are the recipes in `gpu_jobs/`; `docs/gpu.md` has the plan of the time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import gpu_pack
import torch
from torch.utils.flop_counter import FlopCounterMode

import restore
from restore import networks, weights
from restore.datasets import folders
from restore.tasks.training_methods import METHODS
from restore.training import config as configuration
from restore.training.journal import Progress

JOBS = {
    "denoise-gray": "denoise",
    "denoise-color": "denoise",
    "denoise-xray": "denoise",
    "upscale-x4": "upscale",
    "upscale-x2": "upscale",
    "artifacts": "artifacts",
}
"""The method of each job."""
STARTS = {"denoise-color": "denoise-gray", "denoise-xray": "denoise-gray", "upscale-x2": "upscale-x4"}
"""The job from whose weights a job starts where both run."""
PEAKS = {"H100": 989.0, "H200": 989.0, "A100": 312.0}
"""Dense bf16 TFLOP/s by the vendor's datasheet."""
PACE_STEPS = 200
"""Steps after which the pace is measured, over the last half of them."""
RESERVE = 0.93
"""Fraction of the time that is planned: validations, checkpoints and a slower minute take the rest."""
TIMES = 60.0
"""Seconds between two checkpoints."""


class Listener:
    """Hears of a run: prints it with its TFLOP/s, keeps the pace, brings back each new checkpoint, and ends the run at its deadline.

    Args:
        run: the run's folder.
        out: where its files are brought.
        flops: of a training step, for each crop.
        deadline: of `time.monotonic()`; None for a run that ends by its steps.
    """

    def __init__(self, run: Path, out: Path, flops: float, deadline: float | None) -> None:
        self.run, self.out, self.flops, self.deadline = run, out, flops, deadline
        self.pace, self.brought = 0.0, 0

    def __call__(self, event: str | Progress) -> None:
        if not isinstance(event, Progress):
            print(event, flush=True)
        else:
            self.pace = event.images_per_second
            print(f"{event}  {speed(self.pace * self.flops / 1e12)}", flush=True)
        self.bring_back()
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise KeyboardInterrupt

    def bring_back(self) -> None:
        """Copy the run if it has a checkpoint that was not copied yet."""
        checkpoint = self.run / "checkpoint.pt"
        written = checkpoint.stat().st_mtime_ns if checkpoint.is_file() else 0
        if written > self.brought:
            gpu_pack.bring_back(self.run, self.out)
            self.brought = written


def speed(tflops: float) -> str:
    """TFLOP/s, and their share of the card's bf16 peak where that is known."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    peak = next((peak for card, peak in PEAKS.items() if card in name), None)
    share = f" ({tflops / peak:.1%} of the bf16 peak)" if peak else ""
    return f"{tflops:.3g} TFLOP/s{share}"


def step_flops(method: str, recipe: Path, overrides: Mapping[str, str]) -> float:
    """Floating point operations of a training step for each crop: forward, and twice as many backward."""
    config = configuration.resolve(METHODS[method].config, recipe, overrides)
    values = vars(config)
    scale, data = values.get("scale", 1), values["data"]
    network = networks.plan(config.network.name, networks.settings_of(config.network, channels=data.channels, scale=scale))
    side = data.crop // scale
    inputs = [torch.zeros(1, channels, side, side, device="meta") for channels in (data.channels, *(1 for _ in network.spec.conditions))]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(*inputs)
    return 3.0 * counter.get_total_flops()


def plan(total: int, pace: float) -> dict[str, str]:
    """The settings of a run of `total` steps at `pace` steps per second: a constant rate, and its fall over the last third."""
    minute = max(1, min(total, round(TIMES * pace)))
    return {
        "loop.steps": str(total), "optimizer.decay_start": str(total - total // 3), "optimizer.decay_steps": str(max(1, total // 3)),
        "loop.checkpoint_every": str(minute), "loop.validate_every": str(minute), "loop.preview_every": str(5 * minute),
        "loop.log_every": str(max(1, minute // 6)),
    }  # fmt: skip


def train(job: str, options: argparse.Namespace, seconds: float) -> Path | None:
    """Train one job for `seconds`, or where `options.steps` is given for so many steps; return its weights, if there are any."""
    method, recipe, run = JOBS[job], Path(__file__).parent / "gpu_jobs" / f"{job}.toml", options.scratch / job
    overrides = dict(entry.split("=", 1) for entry in options.set)
    before = options.scratch / STARTS.get(job, "-") / f"{STARTS.get(job, '-')}.safetensors"
    if before.is_file() and "start_from" not in overrides:
        overrides["start_from"] = str(before)
    deadline = None if options.steps else time.monotonic() + seconds
    listener = Listener(run, options.out, step_flops(method, recipe, overrides), deadline)

    def part(settings: Mapping[str, str], *, resume: bool) -> None:
        restore.train(
            method, options.data, config_file=recipe, overrides={**overrides, **settings}, out=run, resume=resume, on_event=listener
        )

    try:
        if deadline is None:
            part(plan(options.steps, options.steps / 3 / TIMES), resume=False)
        else:
            few = {"loop.steps": PACE_STEPS, "loop.log_every": PACE_STEPS // 2, "loop.validate_every": 0}
            part({key: str(value) for key, value in few.items()}, resume=False)
            batch = configuration.resolve(METHODS[method].config, recipe, overrides).loop.batch_size
            steps = max(1, int(listener.pace / batch * RESERVE * (deadline - time.monotonic())))
            print(f"{job}: {listener.pace / batch:.1f} steps per second, {PACE_STEPS + steps} in all", flush=True)
            part(plan(PACE_STEPS + steps, listener.pace / batch), resume=True)
    except KeyboardInterrupt:
        print(f"{job}: stopped at its deadline; what it has is kept", flush=True)
    listener.bring_back()
    path = run / f"{job}.safetensors"
    return path if path.is_file() else None


def run(options: argparse.Namespace) -> None:
    options.out, options.scratch = options.beside / options.out, options.beside / options.scratch
    options.scratch.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * options.minutes
    for number, job in enumerate(options.job):
        print(f"{job}: {train(job, options, (end - time.monotonic()) / (len(options.job) - number))}", flush=True)


def pack(options: argparse.Namespace) -> None:
    if options.out.exists():
        raise SystemExit(f"{options.out} is there already")
    options.out.mkdir(parents=True)
    gpu_pack.copy_code(options.out, options.weights, options.wheels)
    patterns = {
        pattern
        for job in options.job
        for pattern in configuration.resolve(METHODS[JOBS[job]].config, Path(__file__).parent / "gpu_jobs" / f"{job}.toml").data.include
    }
    files = folders.pictures(options.datasets, sorted(patterns))
    budget = int(options.limit * 2**20) - gpu_pack.size(options.out)
    print(gpu_pack.copy_pictures(files, options.datasets, options.out, budget))
    print(f"{options.out}: {gpu_pack.size(options.out) / 2**20:.1f} MiB")


def unpack(options: argparse.Namespace) -> None:
    for folder in gpu_pack.unpack(options.brought, options.runs):
        recipe = weights.recipe(folder / f"{folder.name}.safetensors")
        print(f"{folder}: {recipe['steps']} steps; start_from={folder / folder.name}.safetensors, or restore train --out {folder} --resume")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    packing = commands.add_parser("pack", help="make the folder that travels")
    packing.add_argument("datasets", type=Path)
    packing.add_argument("--limit", type=float, default=64.0, help="MiB in all")
    packing.add_argument("--wheels", type=Path, help="a folder of wheels that the machine lacks, such as imagecodecs and pydicom")
    packing.add_argument("--weights", action="append", default=[], help="shipped weights that --set start_from= names")
    running = commands.add_parser("run", help="train on this machine")
    running.add_argument("--minutes", type=float, default=10.0, help="for all jobs together")
    running.add_argument("--steps", type=int, default=0, help="so many steps a job instead of minutes")
    running.add_argument("--data", type=Path, required=True)
    running.add_argument("--scratch", type=Path, default=Path("gpu-runs"), help="where the runs live; only DIR of --out comes back")
    running.add_argument("--beside", type=Path, default=Path(), help="the folder that relative paths begin at")
    running.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of restore train, for all jobs")
    unpacking = commands.add_parser("unpack", help="make run folders of what came back")
    unpacking.add_argument("brought", type=Path)
    unpacking.add_argument("--runs", type=Path, default=Path("runs/gpu"))
    for command in (packing, running):
        command.add_argument("--job", action="append", choices=JOBS, required=True)
        command.add_argument("--out", type=Path, required=True)
    for command, function in ((packing, pack), (running, run), (unpacking, unpack)):
        command.set_defaults(function=function)
    options = parser.parse_args(arguments)
    options.function(options)


if __name__ == "__main__":
    main()
