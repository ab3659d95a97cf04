"""Quality of denoising: the tables of the literature, ours next to OpenCV's non-local means and BM3D on the same noisy pictures.

    python benchmarks/denoise.py DATASETS [--suites gray,color,xray,detector,real,clean] [--methods restore,nlm,bm3d] [--limit N]
                                 [--cases TEXT] [--protocols float,8-bit,xray] [--weights-gray FILE] ... [--json FILE]

DATASETS is the folder with test/, photos/, xray/ and real_noise/. Protocols, printed next to each number:
  float   noise is float and unclipped, sigma told to every method (non-blind), PSNR over all pixels, no border cut
  8-bit   noisy pictures rounded and clipped to 8 bits, results rounded to 8 bits, ours blind, the others told sigma
  xray    Poisson of N counts at white and readout sigma 2 of 255, float, 512 x 512 centre crops; ours blind; BM3D and NLM on
          the generalised Anscombe transform with the exact unbiased inverse's closed form, told counts and readout;
          suite detector: the same noise blurred by a Gaussian of 0.7 pixels,
          which BM3D and NLM are told as if it were white: they smooth too much there
BM3D needs `pip install 'restore-suite[benchmarks]'`; it takes most of the time.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

import restore
from restore.datasets.degrade import poisson_gaussian, to_8_bits
from restore.images.noise_model import NoiseLevel
from restore.inference.noise_estimate import Estimate
from restore.inference.noise_estimation import resolve_level
from restore.metrics import psnr, ssim

READOUT = 2 / 255
Method = Callable[[np.ndarray, NoiseLevel], np.ndarray]


def picture(path: Path, flag: int) -> np.ndarray:
    """(H, W, C) float32 RGB or gray in [0, 1]."""
    pixels = cv2.imread(str(path), flag)
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels[:, :, ::-1]
    return np.ascontiguousarray(pixels).astype(np.float32) / 255


def generator(path: Path, *key: object) -> np.random.Generator:
    """The noise of a picture depends on its name and the level only, whatever else is run."""
    return np.random.default_rng(zlib.crc32("/".join(map(str, (path.name, *key))).encode()))


def nlm(noisy: np.ndarray, level: NoiseLevel) -> np.ndarray:
    """OpenCV's fast non-local means with h = sigma, on 8 bits."""
    sigma, stored = level.sigma(), np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8)
    if noisy.shape[2] == 1:
        cleaned = cv2.fastNlMeansDenoising(stored[:, :, 0], None, max(sigma, 0.1))[:, :, None]
    else:
        cleaned = cv2.fastNlMeansDenoisingColored(stored, None, max(sigma, 0.1), max(sigma, 0.1))
    return cleaned.astype(np.float32) / 255


def bm3d(noisy: np.ndarray, level: NoiseLevel) -> np.ndarray:
    """BM3D (Dabov et al. 2007; CBM3D for colour), the authors' Python package."""
    import bm3d as package

    sigma = level.sigma() / 255
    cleaned = package.bm3d_rgb(noisy, sigma) if noisy.shape[2] == 3 else package.bm3d(noisy[:, :, 0], sigma)
    return np.asarray(cleaned, np.float32).reshape(noisy.shape)


def anscombe(inner: Method) -> Method:
    """`inner` on the generalised Anscombe transform (Makitalo and Foi 2013, eq. 1 and the closed form of the unbiased inverse)."""

    def stabilised(noisy: np.ndarray, level: NoiseLevel) -> np.ndarray:
        gain, variance = level.slope, level.constant
        counts = noisy / gain
        sigma2 = variance / gain**2
        forward = 2 * np.sqrt(np.maximum(counts + 3 / 8 + sigma2, 0))
        low, high = float(forward.min()), float(forward.max())
        scaled = ((forward - low) / (high - low)).astype(np.float32)
        cleaned = inner(scaled, NoiseLevel.gaussian(255 / (high - low))) * (high - low) + low
        d = np.maximum(cleaned, 2 * np.sqrt(3 / 8 + sigma2))
        inverse = d**2 / 4 + np.sqrt(1.5) / (4 * d) - 11 / (8 * d**2) + 5 * np.sqrt(1.5) / (8 * d**3) - 1 / 8 - sigma2
        return (np.maximum(inverse, 0) * gain).astype(np.float32)

    return stabilised


class Ours:
    """Our weights as the command line runs them: two views for photographs, one for X-rays; blind where told so."""

    def __init__(self, name: str, *, blind: bool) -> None:
        self.restorer, self.blind = restore.load(name), blind
        if not self.restorer.signal_dependent:
            self.restorer = restore.load(name, ensemble=2)
        self.camera = restore.load(CAMERA, ensemble=2) if blind and name == DEFAULTS["color"] else None

    def __call__(self, noisy: np.ndarray, level: NoiseLevel) -> np.ndarray:
        if self.camera is None:
            return self.restorer.denoise(noisy, None if self.blind else level)[0]
        noise = resolve_level(noisy, None)
        chosen = self.camera if isinstance(noise, Estimate) and noise.of_camera else self.restorer
        return chosen.denoise(noisy, noise)[0]


def gray_cases(root: Path, limit: int) -> Iterator[tuple[str, str, np.ndarray, np.ndarray, NoiseLevel]]:
    """Suite gray: Set12 and BSD68, float and 8-bit."""
    for name in ("set12", "bsd68"):
        for path in sorted((root / "test" / name).glob("*"))[:limit]:
            clean = picture(path, cv2.IMREAD_GRAYSCALE)
            for sigma in (15, 25, 50):
                noisy = clean + np.float32(sigma / 255) * generator(path, sigma).standard_normal(clean.shape, np.float32)
                yield f"{name} sigma {sigma}", "float", clean, noisy, NoiseLevel.gaussian(sigma)
                yield f"{name} sigma {sigma}", "8-bit", clean, to_8_bits(noisy), NoiseLevel.gaussian(sigma)


def color_cases(root: Path, limit: int) -> Iterator[tuple[str, str, np.ndarray, np.ndarray, NoiseLevel]]:
    """Suite color: the 100 scenes of bsds500/val, the CBSD68 scenes among them."""
    for path in sorted((root / "photos/bsds500/val").glob("*.jpg"))[:limit]:
        clean = picture(path, cv2.IMREAD_COLOR)
        for sigma in (15, 25, 50):
            noisy = clean + np.float32(sigma / 255) * generator(path, sigma).standard_normal(clean.shape, np.float32)
            yield f"bsds500/val colour sigma {sigma}", "float", clean, noisy, NoiseLevel.gaussian(sigma)


def xrays(root: Path, limit: int) -> Iterator[tuple[Path, np.ndarray]]:
    """The test X-rays, 512 x 512 at the middle."""
    for path in sorted((root / "xray/test").glob("*"))[:limit]:
        whole = picture(path, cv2.IMREAD_GRAYSCALE)
        side = min(512, *whole.shape[:2])
        top, left = ((length - side) // 2 for length in whole.shape[:2])
        yield path, whole[top : top + side, left : left + side]


def xray_cases(root: Path, limit: int) -> Iterator[tuple[str, str, np.ndarray, np.ndarray, NoiseLevel]]:
    """Suite xray: the test X-rays under quantum noise."""
    for path, clean in xrays(root, limit):
        for counts in (20, 50, 200):
            noisy, level = poisson_gaussian(clean, counts, READOUT, generator(path, counts))
            yield f"xray {counts} counts", "xray", clean, noisy, level


def detector_cases(root: Path, limit: int) -> Iterator[tuple[str, str, np.ndarray, np.ndarray, NoiseLevel]]:
    """Suite detector: the same, but neighbouring pixels share the noise; the level is that of white noise."""
    for path, clean in xrays(root, limit):
        for counts in (20, 100):
            noisy, level = poisson_gaussian(clean, counts, READOUT, generator(path, "detector", counts))
            blurred = cv2.GaussianBlur(noisy - clean, (0, 0), 0.7)[:, :, None]
            yield f"blurred noise {counts} counts", "xray", clean, clean + blurred, level


def real_cases(root: Path, limit: int) -> Iterator[tuple[str, str, np.ndarray, np.ndarray, NoiseLevel]]:
    """Suite real: the PolyU pairs; the level is unknown, NLM gets our estimate."""
    from restore.inference.noise_estimation import estimate

    for path in sorted((root / "real_noise/polyu").glob("*_[Rr]eal.*"))[:limit]:
        noisy = picture(path, cv2.IMREAD_COLOR)
        clean = picture(path.with_name(re.sub("_[Rr]eal", "_mean", path.name)), cv2.IMREAD_COLOR)
        yield "polyu", "8-bit", clean, noisy, estimate(noisy).level


def clean_cases(root: Path, limit: int) -> Iterator[tuple[str, str, np.ndarray, np.ndarray, NoiseLevel]]:
    """Suite clean: what blind denoising takes from clean pictures."""
    from restore.inference.noise_estimation import estimate

    for path in sorted((root / "test/set14").glob("*"))[:limit]:
        clean = picture(path, cv2.IMREAD_COLOR)
        clean = clean[:, :, :1] if np.ptp(clean, axis=2).max() == 0 else clean
        yield "set14 clean against itself", "8-bit", clean, clean, estimate(clean).level


SUITES = {
    "gray": gray_cases,
    "color": color_cases,
    "xray": xray_cases,
    "detector": detector_cases,
    "real": real_cases,
    "clean": clean_cases,
}
XRAYS = {"xray", "detector"}
CAMERA = "denoise-camera"
DEFAULTS = {"gray": "denoise-gray", "color": "denoise-color", "xray": "denoise-xray"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--suites", default=",".join(SUITES))
    parser.add_argument("--methods", default="noisy,restore,nlm,bm3d", help="or blind or told, for one of ours instead of both")
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--cases", default="", help="a pattern: only what is called so, such as 'set12 sigma 25'")
    parser.add_argument("--protocols", default="float,8-bit,xray")
    parser.add_argument("--lpips", action="store_true", help="LPIPS too (alex), with --backbones or torchvision's download")
    parser.add_argument("--json", type=Path)
    for name, default in DEFAULTS.items():
        parser.add_argument(f"--weights-{name}", default=default)
    options = parser.parse_args()
    if "bm3d" in options.methods.split(",") and importlib.util.find_spec("bm3d") is None:
        parser.error("bm3d is not installed: pip install -e '.[benchmarks]', or leave it out with --methods noisy,restore,nlm")
    perceptual = None
    if options.lpips:
        from restore.metrics import lpips as perceptual
    found: dict[tuple[str, str, str], list[tuple[float, ...]]] = defaultdict(list)
    for suite in options.suites.split(","):
        methods = _methods(options, suite)
        for case, protocol, clean, noisy, level in SUITES[suite](options.datasets, options.limit):
            if not re.search(options.cases, case) or protocol not in options.protocols.split(","):
                continue
            for name, method in methods.items():
                since = time.perf_counter()
                result = method(noisy, level)
                seconds = time.perf_counter() - since
                if protocol == "8-bit":
                    result = to_8_bits(result)
                row = (psnr(result, clean), ssim(result, clean), perceptual(result, clean) if perceptual else np.nan, seconds)
                found[case, protocol, name].append(row)
    for (case, protocol, name), rows in found.items():
        decibel, similarity, distance, seconds = np.mean([[min(row[0], 99.0), *row[1:]] for row in rows], axis=0)
        extra = f"  LPIPS {distance:.4f}" if perceptual else ""
        print(f"{case:34} {protocol:6} {name:10} {decibel:6.2f} dB  SSIM {similarity:.4f}{extra}  {seconds:7.3f} s  n={len(rows)}")
    if options.json:
        options.json.write_text(json.dumps([{"case": k, "values": v} for k, v in found.items()]))


def _methods(options: argparse.Namespace, suite: str) -> dict[str, Method]:
    wanted = options.methods.split(",")
    methods: dict[str, Method] = {}
    if "noisy" in wanted:
        methods["noisy"] = lambda noisy, level: noisy
    if "restore" in wanted:
        of_suite = {"gray": options.weights_gray, "xray": options.weights_xray, "detector": options.weights_xray}
        weights = of_suite.get(suite, options.weights_color)
        if "told" not in wanted:
            methods["restore, blind"] = Ours(weights, blind=True)
        if suite in {"gray", "color"} and "blind" not in wanted:
            methods["restore"] = Ours(weights, blind=False)
    for name, method in (("nlm", nlm), ("bm3d", bm3d)):
        if name in wanted:
            methods[f"{name} + anscombe" if suite in XRAYS else name] = anscombe(method) if suite in XRAYS else method
    return methods


if __name__ == "__main__":
    main()
