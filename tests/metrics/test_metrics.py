"""The metrics against hand values and other implementations, and what every row of METRICS promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from restore.metrics import METRICS, lpips, psnr, ssim
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


def test_ssim_needs_a_window() -> None:
    with pytest.raises(ValueError, match="11 x 11"):
        ssim(np.zeros((10, 40)), np.zeros((10, 40)))


@pytest.mark.parametrize("name", sorted(METRICS))
def test_other_shapes_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        METRICS[name].function(np.zeros((40, 40, 1)), np.zeros((40, 41, 1)))


@pytest.mark.parametrize("name", sorted(METRICS))
@pytest.mark.parametrize("channels", [1, 3])
def test_more_noise_is_worse(smooth: Smooth, name: str, channels: int, request: pytest.FixtureRequest) -> None:
    if name == "lpips":
        request.getfixturevalue("backbones")
    metric, picture = METRICS[name], smooth(64, 64, channels)
    scores = [metric.function(_noisy(picture, sigma), picture) for sigma in (0.02, 0.05, 0.15)]
    assert scores == sorted(scores, reverse=metric.better == "higher")


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


def test_every_row_says_which_way_is_better() -> None:
    assert {metric.better for metric in METRICS.values()} <= {"higher", "lower"}


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
    with pytest.raises(ValueError, match="could not download"):
        backbones.lpips()
    out, err = capsys.readouterr()
    assert out == "" and "Downloading" in err
