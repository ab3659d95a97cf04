"""The metrics against hand values and other implementations, and what every row of METRICS promises."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from restore.metrics import METRICS, distortion, dists, gmsd, lpips, lpips_vgg, ms_ssim, psnr, psnr_b, ssim
from restore.networks.backbones import FOLDER as BACKBONES

Smooth = Callable[..., np.ndarray]
SHARED = Path(__file__).resolve().parents[3] / "shared" / "backbones"


@pytest.fixture
def backbones(monkeypatch: pytest.MonkeyPatch) -> None:
    """AlexNet's weights next to the checkout; skips where they aren't."""
    if not (SHARED / "alexnet_features.safetensors").is_file():
        pytest.skip("AlexNet's weights aren't here")
    monkeypatch.setenv(BACKBONES, str(SHARED))


def _noisy(picture: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    return picture + np.random.default_rng(seed).normal(0, sigma, picture.shape).astype(np.float32)


def test_psnr_by_hand() -> None:
    black = np.zeros((4, 5), np.float32)
    assert psnr(black + 0.1, black) == pytest.approx(20, abs=1e-4)
    assert psnr(black, black) == float("inf")
    one = black.copy()
    one[0, 2] = 1
    assert psnr(one, black) == pytest.approx(10 * np.log10(20))
    assert psnr(one, black, border=1) == float("inf")
    with pytest.raises(ValueError, match="border"):
        psnr(one, black, border=2)


def test_ssim_by_hand(smooth: Smooth) -> None:
    picture = smooth(32, 32)
    assert ssim(picture, picture) == pytest.approx(1)
    dark, light = np.full((16, 16), 0.2), np.full((16, 16), 0.6)
    assert ssim(dark, light) == pytest.approx((2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4))


@pytest.mark.parametrize("channels", [0, 1, 3])
def test_ssim_is_scikit_images(smooth: Smooth, channels: int) -> None:
    reference = pytest.importorskip("skimage.metrics").structural_similarity
    first = smooth(40, 53, channels or 1).astype(np.float64)
    second = _noisy(first, 0.1)
    if channels == 0:
        first, second = first[:, :, 0], second[:, :, 0]
    expected = reference(
        first, second, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        channel_axis=2 if channels else None,
    )  # fmt: skip
    assert ssim(first, second) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("contrast", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("brightness", [0.0, 0.9, 300.0])
def test_ssim_of_faint_detail_is_scikit_images(contrast: float, brightness: float) -> None:
    """float32 would lose the variance of faint detail on a bright ground, if it were not centred."""
    reference = pytest.importorskip("skimage.metrics").structural_similarity
    generator = np.random.default_rng(7)
    first = brightness + contrast * generator.random((70, 90, 3))
    second = first + 0.3 * contrast * generator.random(first.shape)
    expected = reference(first, second, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=2)
    assert ssim(first, second) == pytest.approx(expected, abs=1e-6)


def test_ssim_needs_a_window() -> None:
    with pytest.raises(ValueError, match="11 x 11"):
        ssim(np.zeros((10, 40)), np.zeros((10, 40)))


@pytest.fixture
def available(request: pytest.FixtureRequest) -> str:
    """The name of a metric of METRICS; skips if its library or weights are missing."""
    name: str = request.param
    if name in ("lpips", "lpips-vgg", "dists"):
        request.getfixturevalue("backbones")
    if why := METRICS[name].problem():
        pytest.skip(why)
    return name


ROWS = pytest.mark.parametrize("available", sorted(METRICS), indirect=True)
WITH_REFERENCE = pytest.mark.parametrize("name", sorted(name for name, metric in METRICS.items() if metric.needs_reference))


@WITH_REFERENCE
def test_other_shapes_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        METRICS[name].function(np.zeros((40, 40, 1)), np.zeros((40, 41, 1)))


@WITH_REFERENCE
def test_pictures_too_small_are_refused(name: str) -> None:
    if name != "psnr":
        with pytest.raises(ValueError, match="needs at least"):
            METRICS[name].function(np.zeros((7, 7, 1)), np.zeros((7, 7, 1)))


@ROWS
@pytest.mark.parametrize("channels", [1, 3])
def test_more_noise_is_worse(smooth: Smooth, available: str, channels: int) -> None:
    metric, picture = METRICS[available], smooth(176, 176, channels)
    scores = [metric.function(_noisy(picture, sigma), picture) for sigma in (0.02, 0.05, 0.15)]
    assert scores == sorted(scores, reverse=metric.better == "higher")


@ROWS
def test_every_row_states_its_protocol(available: str) -> None:
    metric = METRICS[available]
    assert metric.better in ("higher", "lower") and metric.protocol


def _random_pairs(count: int, side: int, channels: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Smooth random pictures with blur, noise and steps of 8 pixels, so that every term of a metric acts."""
    random, pairs = np.random.default_rng(5), []
    for _ in range(count):
        height, width = side + 2 * int(random.integers(0, 20)), side + 2 * int(random.integers(0, 20))
        picture = cv2.resize(random.random((12, 9, channels)), (width, height), interpolation=cv2.INTER_CUBIC).reshape(
            height, width, channels
        )
        blocks = np.kron(random.normal(0, 0.03, (-(-height // 8), -(-width // 8), channels)), np.ones((8, 8, 1)))[:height, :width]
        changed = picture + blocks + random.normal(0, random.uniform(0.005, 0.1), picture.shape)
        pairs.append((np.clip(changed, 0, 1), np.clip(picture, 0, 1)))
    return pairs


def _planes(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_and_ssim_are_the_libraries(channels: int) -> None:
    library = pytest.importorskip("torchmetrics.functional.image")
    scikit_image = pytest.importorskip("skimage.metrics")
    for result, reference in _random_pairs(50, 64, channels):
        expected = library.peak_signal_noise_ratio(_planes(result), _planes(reference), data_range=1.0)
        assert psnr(result, reference) == pytest.approx(float(expected), abs=1e-4)
        expected = scikit_image.structural_similarity(
            result, reference, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=2
        )
        assert ssim(result, reference) == pytest.approx(expected, abs=1e-4)


def test_ms_ssim_is_the_libraries() -> None:
    """pytorch-msssim pads odd sides, so the sides halve evenly here. torchmetrics counts mirrored borders at the coarsest scale."""
    package = pytest.importorskip("pytorch_msssim")
    library = pytest.importorskip("torchmetrics.functional.image")
    for result, reference in _random_pairs(50, 176, 1):
        pair = [_planes(picture[:176, :176]) for picture in (result, reference)]
        ours = ms_ssim(result[:176, :176], reference[:176, :176])
        assert ours == pytest.approx(float(package.ms_ssim(*pair, data_range=1.0)), abs=1e-4)
        expected = library.multiscale_structural_similarity_index_measure(*pair, data_range=1.0, normalize="relu")
        assert ours == pytest.approx(float(expected), abs=1e-3)


def test_psnr_b_is_torchmetrics() -> None:
    library = pytest.importorskip("torchmetrics.functional.image")
    for result, reference in _random_pairs(50, 64, 1):
        expected = library.peak_signal_noise_ratio_with_blocked_effect(_planes(result), _planes(reference), data_range=1.0)
        assert psnr_b(result, reference) == pytest.approx(float(expected), abs=1e-4)
        assert psnr_b(result, reference) <= psnr(result, reference)
    blocks = np.kron(np.random.default_rng(0).random((8, 8)), np.ones((8, 8)))
    assert psnr_b(blocks, blocks) < 40 < psnr(blocks, blocks), "only the blocks show"


@pytest.mark.parametrize("channels", [1, 3])
def test_gmsd_is_piqs(channels: int) -> None:
    library = pytest.importorskip("piq")
    for result, reference in _random_pairs(50, 64, channels):
        assert gmsd(result, reference) == pytest.approx(float(library.gmsd(_planes(result), _planes(reference), data_range=1.0)), abs=1e-4)


@pytest.mark.usefixtures("backbones")
def test_lpips_is_the_packages() -> None:
    """With AlexNet's weights put into the package's own network."""
    package = pytest.importorskip("lpips")
    from safetensors.torch import load_file

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = package.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    tensors = load_file(SHARED / "alexnet_features.safetensors")
    own = [module for module in network.net.modules() if isinstance(module, torch.nn.Conv2d)]
    names = sorted({key.rpartition(".")[0] for key in tensors}, key=lambda name: int(name.rpartition(".")[2]))
    for module, name in zip(own, names, strict=True):
        module.load_state_dict({part: tensors[f"{name}.{part}"] for part in ("weight", "bias")})
    for result, reference in _random_pairs(10, 64, 3):
        with torch.inference_mode():
            expected = network(_planes(result).float(), _planes(reference).float(), normalize=True)
        assert lpips(result, reference) == pytest.approx(float(expected), abs=1e-5)


@pytest.fixture
def random_vgg16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.nn.Sequential]:
    """VGG16's features with random weights, which the backbones' folder holds, too."""
    from safetensors.torch import save_file
    from torchvision.models import vgg16

    from restore.metrics import perceptual
    from restore.networks import backbones as files

    torch.manual_seed(0)
    features: torch.nn.Sequential = vgg16(weights=None).features.eval()
    save_file({f"features.{key}": value for key, value in features.state_dict().items()}, tmp_path / "vgg16_features.safetensors")
    monkeypatch.setenv(BACKBONES, str(tmp_path))
    for cached in (files.lpips, perceptual._dists_backbone):
        cached.cache_clear()
    yield features
    for cached in (files.lpips, perceptual._dists_backbone):
        cached.cache_clear()


def test_dists_is_torchmetrics(random_vgg16: torch.nn.Sequential, monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("torchmetrics.functional.image.dists")
    monkeypatch.setattr(library, "vgg16", lambda weights: SimpleNamespace(features=random_vgg16))
    network = library.DISTSNetwork().eval()
    for result, reference in _random_pairs(5, 64, 3):
        expected = network(_planes(result).float(), _planes(reference).float()).detach()
        assert dists(result, reference) == pytest.approx(float(expected), abs=1e-5)


def test_lpips_vgg_is_the_packages(random_vgg16: torch.nn.Sequential) -> None:
    package = pytest.importorskip("lpips")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = package.LPIPS(net="vgg", pnet_rand=True, verbose=False).eval()
    own = [module for module in network.net.modules() if isinstance(module, torch.nn.Conv2d)]
    for module, source in zip(own, (part for part in random_vgg16 if isinstance(part, torch.nn.Conv2d)), strict=True):
        module.load_state_dict(source.state_dict())
    for result, reference in _random_pairs(3, 64, 3):
        with torch.inference_mode():
            expected = network(_planes(result).float(), _planes(reference).float(), normalize=True)
        assert lpips_vgg(result, reference) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.usefixtures("backbones")
def test_lpips_of_equal_pictures_is_zero(smooth: Smooth) -> None:
    assert lpips(smooth(64, 64), smooth(64, 64)) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="32 x 32"):
        lpips(smooth(20, 64), smooth(20, 64))


def test_lpips_without_its_weights_says_how_to_get_them(smooth: Smooth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from restore.networks import backbones

    monkeypatch.setenv(BACKBONES, str(tmp_path))
    backbones.lpips.cache_clear()
    with pytest.raises(ValueError, match=r"lpips|alexnet_features"):
        lpips(smooth(64, 64), smooth(64, 64))


def test_a_download_prints_nothing_among_json_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """torch.hub tells on standard output what it downloads."""
    import lpips as package

    from restore.networks import backbones

    def loading(**_: object) -> None:
        print("Downloading: somewhere")
        raise OSError("no network")

    monkeypatch.delenv(BACKBONES, raising=False)
    monkeypatch.setattr(package, "LPIPS", loading)
    backbones.lpips.cache_clear()
    with pytest.raises(ValueError, match="could not be downloaded"):
        backbones.lpips()
    out, err = capsys.readouterr()
    assert out == "" and "Downloading" in err


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_bands_of_rows_change_no_similarity(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    generator = np.random.default_rng(5)
    first = generator.random((190, 180, 3))
    second = np.clip(first + generator.normal(0, 0.1, first.shape), 0, 1)
    expected = METRICS["ssim"].function(first, second), METRICS["ms-ssim"].function(first, second)
    monkeypatch.setattr(distortion, "BAND_ROWS", rows)
    found = METRICS["ssim"].function(first, second), METRICS["ms-ssim"].function(first, second)
    assert found == pytest.approx(expected, abs=1e-8)  # float32, centred at another value


@pytest.mark.parametrize("kinds", [(np.float32, np.float64), (np.float64, np.float32), (np.float32, np.float32)])
def test_psnr_takes_pictures_of_unlike_types(kinds: tuple[type, type]) -> None:
    generator = np.random.default_rng(3)
    first = generator.random((20, 30, 3)).astype(np.float32)
    second = np.clip(first + generator.normal(0, 0.1, first.shape), 0, 1).astype(np.float32)
    expected = -10 * np.log10(np.mean((first.astype(np.float64) - second) ** 2))
    assert psnr(first.astype(kinds[0]), second.astype(kinds[1])) == pytest.approx(expected, abs=1e-4)


SET5 = SHARED.parent / "datasets" / "test" / "set5"


@pytest.mark.skipif(not SET5.is_dir(), reason="Set5 is not here")
@pytest.mark.parametrize(("scale", "decibels", "similarity"), [(2, 33.66, 0.9299), (3, 30.39, 0.8682), (4, 28.42, 0.8104)])
def test_bicubic_on_set5_is_as_published(scale: int, decibels: float, similarity: float) -> None:
    """The bicubic row of all tables since Dong et al. 2014 (table 1): luma of 8 bits, shrunk without rounding, a border of the scale."""
    from restore.metrics.comparison import luma
    from restore.networks.resample import enlarge, shrink

    scores = []
    for path in sorted(SET5.glob("*.png")):
        y = luma(np.asarray(Image.open(path).convert("RGB")) / 255)[:, :, 0]
        height, width = (side // scale * scale for side in y.shape)
        y = y[:height, :width]
        large = enlarge(shrink(torch.from_numpy(y.astype(np.float32))[None, None], scale), scale)[0, 0].numpy()
        large = np.rint(np.clip(large, 0, 1) * 255) / 255
        scores.append((psnr(large, y, border=scale), ssim(large, y, border=scale)))
    found = np.mean(scores, axis=0)
    assert round(found[0], 2) == decibels
    assert found[1] == pytest.approx(similarity, abs=6e-5)
