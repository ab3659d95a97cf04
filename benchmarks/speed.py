"""Speed and memory of `restore denoise`, `restore upscale` and `restore inpaint`, as ratios within one run.

    python benchmarks/speed.py network                       our precision against the same network in float32 NCHW
    python benchmarks/speed.py enlarge [--side 512]          the same of upscale-x4
    python benchmarks/speed.py folder XRAYS [--count 200]    a folder of X-rays against the network alone on the same pictures
    python benchmarks/speed.py memory [--megapixels 100]     peak resident memory on a 16-bit gray TIFF, and tiled against whole
    python benchmarks/speed.py holes [--megapixels 40]       inpainting ten holes of 100 to 400 pixels: peak memory and seconds, against the
                                                             same holes in a picture of a quarter of the size

Ratios are of medians over alternating repetitions in fresh processes, since machines drift and allocators remember.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np


def network(names: Sequence[str], side: int, repetitions: int) -> None:
    """Images a second of each network as restore runs it, against plain PyTorch in float32 NCHW: fresh processes in turn."""
    for name in names:
        seconds: dict[str, list[float]] = {"restore": [], "plain": []}
        for _ in range(repetitions):
            for how, found in seconds.items():
                command = [sys.executable, __file__, how, name, "--side", str(side)]
                found.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        ours, plain = (statistics.median(seconds[how]) for how in ("restore", "plain"))
        print(f"{name}, {side} x {side}: {1 / ours:.3f} images/s, plain float32 NCHW {1 / plain:.3f} images/s, ratio {plain / ours:.2f}")


def one(how: str, name: str, side: int) -> None:
    """Print the median seconds of one way in this process."""
    import torch

    from restore import networks, weights
    from restore.networks.resample import enlarge

    picture = np.random.default_rng(0).random((side, side, 3), dtype=np.float32)
    if how == "restore":
        import restore
        from restore.images.noise_model import NoiseLevel

        restorer = restore.load(name)
        level = NoiseLevel.gaussian(25) if restorer.takes_noise else None
        picture = picture[:, :, : restorer.channels]
        print(repeated(lambda: restorer.denoise(picture, level)))
        return
    tensors, recipe = weights.load(weights.find(name).path)
    plain = networks.build(recipe["network"], **recipe["settings"]).eval()
    plain.load_state_dict(tensors)
    batch = torch.from_numpy(picture.transpose(2, 0, 1)[None, : recipe["settings"]["channels"]].copy())
    maps = [torch.full((1, 1, side, side), 25 / 255)] if plain.spec.conditions else []
    with torch.inference_mode():
        print(repeated(lambda: enlarge(batch, plain.spec.scale) + plain(batch, *maps)))


def repeated(function: Callable[[], object], times: int = 5) -> float:
    """Median seconds of a function after one warm-up."""
    function()
    return statistics.median(_timed(function) for _ in range(times))


def folder(source: Path, count: int, repetitions: int) -> None:
    """A folder's wall time against the network alone before and after it, several times in turn."""
    import restore
    from restore.images import read

    with tempfile.TemporaryDirectory() as scratch:
        scans, out = Path(scratch) / "scans", Path(scratch) / "out"
        scans.mkdir()
        files = sorted(path for path in source.iterdir() if path.suffix.lower() in {".jpeg", ".jpg", ".png", ".dcm"})
        for index in range(count):
            path = files[index % len(files)]
            shutil.copyfile(path, scans / f"{index:04d}{path.suffix}")
        restorer = restore.load("denoise-xray")
        shown = [read(path).frame(0).normalized() for path in files[: min(len(files), count)]]
        levels = [restorer.noise_level(picture, None) for picture in shown]
        for picture, level in zip(shown, levels, strict=True):
            restorer.denoise(picture, level)

        def alone() -> float:
            rounds = max(1, 24 // len(shown))
            since = time.perf_counter()
            for picture, level in rounds * list(zip(shown, levels, strict=True)):
                restorer.denoise(picture, level)
            return rounds * len(shown) / (time.perf_counter() - since)

        paces, shares = [alone()], []
        for repetition in range(repetitions):
            since = time.perf_counter()
            report = restore.run("denoise", [scans], out / str(repetition))
            wall = time.perf_counter() - since
            paces.append(alone())
            shares.append(count / wall * (1 / paces[-2] + 1 / paces[-1]) / 2)
            print(f"{count} pictures in {wall:.1f} s: {count / wall:.3f} images/s; share {shares[-1]:.3f}; {report.summary()}")
        print(f"the network alone: {', '.join(f'{pace:.3f}' for pace in paces)} images/s; median share {statistics.median(shares):.3f}")


def memory(megapixels: int) -> None:
    """Peak memory of one large picture, in a process of its own, and the tiled against the whole result of a smaller one."""
    import tifffile

    side = round((megapixels * 1e6) ** 0.5)
    with tempfile.TemporaryDirectory() as scratch:
        path, out = Path(scratch) / "large.tif", Path(scratch) / "out"
        y, x = np.ogrid[:side, :side]
        picture = (30000 + 20000 * np.sin(x / 97) * np.cos(y / 131)).astype(np.float32)
        picture += 1500 * np.random.default_rng(0).standard_normal(picture.shape, np.float32)
        tifffile.imwrite(path, picture.clip(0, 65535).astype(np.uint16), compression="zlib")
        del picture
        since = time.perf_counter()
        command = [sys.executable, "-m", "restore_cli", "denoise", str(path), "--out", str(out), "--quiet"]
        subprocess.run(command, check=True)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        print(f"{megapixels} megapixels, 16-bit gray TIFF: peak {peak:.2f} GiB, {time.perf_counter() - since:.0f} s")
    import restore

    piece = np.random.default_rng(1).random((1024, 1408, 3), dtype=np.float32) * 0.2 + 0.4
    for name, channels in (("denoise-gray", 1), ("denoise-xray", 1), ("denoise-color", 3)):
        whole, tiled = (restore.load(name, tile=tile).denoise(piece[:, :, :channels], 25.0)[0] for tile in (0, 512))
        print(f"{name}: max |tiled - whole| = {np.abs(whole - tiled).max() * 255:.3f} / 255")


def holes(megapixels: int) -> None:
    """Peak memory and time of ten holes in a picture and in one of a quarter of its size."""
    import cv2

    for size in (megapixels / 4, megapixels):
        side = round((size * 1e6) ** 0.5)
        with tempfile.TemporaryDirectory() as scratch:
            path, masks, out = (Path(scratch) / name for name in ("large.png", "mask.png", "out"))
            y, x = np.ogrid[:side, :side]
            waves = 128 + 60 * np.sin(x / 37) * np.cos(y / 53) + 20 * np.sin((x + y) / 3)
            cv2.imwrite(str(path), np.stack([waves, waves[::-1], waves.T], 2).astype(np.uint8))
            mask = np.zeros((side, side), np.uint8)
            for number in range(10):
                middle = (side // 10 + number % 5 * side // 5, side // 4 + number // 5 * side // 2)
                cv2.circle(mask, middle, 50 + 150 * number // 9, 255, -1)
            cv2.imwrite(str(masks), mask)
            since = time.perf_counter()
            command = [sys.executable, "-m", "restore_cli", "inpaint", str(path), "--masks", str(masks), "--out", str(out), "--quiet"]
            subprocess.run(command, check=True)
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
            took, missing = time.perf_counter() - since, int((mask > 0).sum())
            print(f"{size:g} megapixels, ten holes of {missing / 1e6:.2f} megapixels: peak {peak:.2f} GiB, {took:.0f} s")


def _timed(function: Callable[[], object]) -> float:
    since = time.perf_counter()
    function()
    return time.perf_counter() - since


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("network", "enlarge", "folder", "memory", "holes", "restore", "plain"))
    parser.add_argument("source", nargs="?", help="folder: the X-rays")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--side", type=int, help="of the picture, 1024, or 512 to be enlarged")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--megapixels", type=int)
    options = parser.parse_args()
    if options.what == "network":
        network(("denoise-gray", "denoise-color"), options.side or 1024, options.repetitions)
    elif options.what == "enlarge":
        network(("upscale-x4",), options.side or 512, options.repetitions)
    elif options.what == "folder":
        folder(Path(options.source or "data/xray/chest"), options.count, options.repetitions)
    elif options.what in {"restore", "plain"}:
        one(options.what, options.source, options.side or 1024)
    elif options.what == "holes":
        holes(options.megapixels or 40)
    else:
        memory(options.megapixels or 100)


if __name__ == "__main__":
    main()
