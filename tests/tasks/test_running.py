"""A training run that goes on elsewhere or otherwise, and what its data and its card say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import restore
from restore import runtime, weights
from restore.training import checkpoint

Photos = Callable[..., Path]
SMALL = {
    "network.widths": "8,12", "network.blocks": "1,1", "data.crop": "16", "loop.batch_size": "2", "loop.steps": "2", "loop.workers": "0",
    "precision": "fp32", "device": "cpu",
}  # fmt: skip


def _go_on(folder: Path, out: Path, **overrides: str) -> list[str]:
    events: list[str] = []
    settings = {"loop.steps": "4", **overrides}
    restore.train("denoise", folder, out=out, resume=True, overrides=settings, on_event=lambda event: events.append(str(event)))
    return [text for text in events if "precision changes" in text]


@pytest.fixture
def begun(tmp_path: Path, photos: Photos) -> tuple[Path, Path]:
    """Some photographs and a run on them in float32."""
    folder = photos(tmp_path / "photos")
    restore.train("denoise", folder, out=tmp_path / "run", overrides=SMALL)
    return folder, tmp_path / "run"


@pytest.mark.parametrize("overrides", [{}, {"device": "auto"}, {"device": "cpu", "precision": "fp32"}])
def test_another_device_and_the_same_precision_are_fine(
    begun: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, overrides: dict[str, str]
) -> None:
    monkeypatch.setattr(runtime, "available_devices", lambda: ["cpu"])
    assert _go_on(*begun, **overrides) == []


def test_another_precision_is_reported(begun: tuple[Path, Path]) -> None:
    (line,) = _go_on(*begun, precision="bf16")
    assert "from fp32 to bf16" in line
    assert 'precision = "bf16"' in (begun[1] / "config.toml").read_text()


def test_half_precision_does_not_mix(begun: tuple[Path, Path]) -> None:
    before = (begun[1] / "config.toml").read_text()
    with pytest.raises(ValueError, match="fp32 and cannot continue in fp16"):
        _go_on(*begun, precision="fp16")
    assert (begun[1] / "config.toml").read_text() == before


def test_another_learning_rate_is_used_and_reported(begun: tuple[Path, Path]) -> None:
    """At a rate next to nothing the weights stay; the old rate would move them."""
    before = {name: tensor.clone() for name, tensor in checkpoint.load(begun[1])["trainer"]["generator"]["network"].items()}
    events: list[str] = []
    rates = {"optimizer.learning_rate": "1e-12", "optimizer.adam_rate": "1e-12"}
    restore.train(
        "denoise",
        begun[0],
        out=begun[1],
        resume=True,
        overrides={"loop.steps": "4", **rates},
        on_event=lambda event: events.append(str(event)),
    )
    assert any("optimizer.learning_rate from 0.02 to 1e-12" in text for text in events)
    after = checkpoint.load(begun[1])["trainer"]["generator"]["network"]
    assert all(torch.allclose(tensor, before[name], atol=1e-9) for name, tensor in after.items())


def test_a_resumed_run_keeps_what_it_was_started_from(begun: tuple[Path, Path]) -> None:
    events: list[str] = []
    restore.train(
        "denoise", begun[0], out=begun[1], resume=True, overrides={"loop.steps": "4", "start_from": "denoise-gray"},
        on_event=lambda event: events.append(str(event)),
    )  # fmt: skip
    assert "start_from=denoise-gray: no effect, a resumed run goes on from its checkpoint" in events
    assert "denoise-gray" not in (begun[1] / "config.toml").read_text()


def test_pictures_that_training_does_not_read_are_reported(tmp_path: Path, photos: Photos) -> None:
    folder = photos(tmp_path / "photos")
    (folder / "a.qoi").write_bytes(b"qoif" + bytes(300))
    (folder / "b.psd").write_bytes(b"8BPS\0\1" + bytes(50))
    events: list[str] = []
    restore.train("denoise", folder, overrides=SMALL, dry_run=True, on_event=lambda event: events.append(str(event)))
    over = [text for text in events if text.startswith("passed over")]
    assert len(over) == 2
    assert "a Photoshop document" in over[0] and "QOI" in over[1] and "convert" in over[1]


def test_a_runs_card_says_what_its_weights_are_for(begun: tuple[Path, Path]) -> None:
    entry = weights.find(begun[1])
    assert entry.purpose == "denoising, from clean pictures"
    assert entry.licence == weights.UNSTATED


def test_a_setting_without_effect_is_reported(tmp_path: Path, photos: Photos) -> None:
    events: list[str] = []
    restore.train(
        "denoise", photos(tmp_path / "photos"), overrides=SMALL | {"discriminator.width": "4", "monitor.every": "3"}, dry_run=True,
        on_event=lambda event: events.append(str(event)),
    )  # fmt: skip
    assert [text for text in events if "no effect" in text] == [
        "discriminator.width: no effect while losses.adversarial_weight is 0",
        "monitor.every: no effect while losses.adversarial_weight is 0",
    ]  # fmt: skip
