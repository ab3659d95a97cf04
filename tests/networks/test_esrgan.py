"""Files in the layout of ESRGAN, under all three generations of names, answer as the network's definition written out here."""

from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import restore
from restore import networks
from restore.networks import esrgan_importer
from restore.networks.resample import enlarge


def _random(blocks: int = 2, *, ups: int = 2, unshuffle: int = 1) -> dict[str, Tensor]:
    """A state dict under Real-ESRGAN's names."""
    width, growth, channels = 16, 8, 3
    torch.manual_seed(0)
    state: dict[str, Tensor] = OrderedDict()

    def layer(name: str, before: int, after: int) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = (
            0.3 * torch.randn(after, before, 3, 3) / before**0.5,
            0.1 * torch.randn(after),
        )

    layer("conv_first", channels * unshuffle**2, width)
    for block in range(blocks):
        for dense in range(3):
            for index in range(5):
                layer(
                    f"body.{block}.rdb{dense + 1}.conv{index + 1}",
                    width + index * growth,
                    growth if index < 4 else width,
                )
    for name in ("conv_body", *(f"conv_up{index + 1}" for index in range(ups)), "conv_hr"):
        layer(name, width, width)
    layer("conv_last", width, channels)
    return state


def _answer(state: dict[str, Tensor], picture: Tensor, ups: int = 2, unshuffle: int = 1) -> Tensor:
    """Wang et al. 2018, section 3.1, written out."""

    def layer(name: str, x: Tensor) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    def leaky(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    first = layer("conv_first", F.pixel_unshuffle(picture, unshuffle))
    trunk = first
    for block in range(1 + max(int(key.split(".")[1]) for key in state if key.startswith("body."))):
        into = trunk
        for dense in ("rdb1", "rdb2", "rdb3"):
            name = f"body.{block}.{dense}.conv"
            seen = [into]
            for index in range(1, 5):
                seen.append(leaky(layer(f"{name}{index}", torch.cat(seen, 1))))
            into = into + 0.2 * layer(f"{name}5", torch.cat(seen, 1))
        trunk = trunk + 0.2 * into
    hidden = first + layer("conv_body", trunk)
    for index in range(ups):
        hidden = leaky(layer(f"conv_up{index + 1}", hidden.repeat_interleave(2, -1).repeat_interleave(2, -2)))
    return layer("conv_last", leaky(layer("conv_hr", hidden)))


def _as_in_2018(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names of the first public code: trunk and layers with names of their own."""
    names = {"conv_body": "trunk_conv", "conv_up1": "upconv1", "conv_up2": "upconv2", "conv_hr": "HRconv"}
    made = {}
    for key, value in state.items():
        head, _, rest = key.partition(".")
        made[f"RRDB_trunk.{rest.replace('rdb', 'RDB')}" if head == "body" else f"{names.get(head, head)}.{rest}"] = value
    return made


def _as_in_the_first_files(state: dict[str, Tensor], blocks: int = 2) -> dict[str, Tensor]:
    """The names of the published RRDB_ESRGAN_x4.pth of the first code."""
    names = {
        "conv_first": "model.0", "conv_body": f"model.1.sub.{blocks}", "conv_up1": "model.3", "conv_up2": "model.6",
        "conv_hr": "model.8", "conv_last": "model.10",
    }  # fmt: skip
    made = {}
    for key, value in state.items():
        head, kind = key.rpartition(".")[::2]
        match = re.fullmatch(r"body\.(\d+)\.rdb(\d)\.conv(\d)", head)
        made[f"model.1.sub.{match[1]}.RDB{match[2]}.conv{match[3]}.0.{kind}" if match else f"{names[head]}.{kind}"] = value
    return made


@pytest.mark.parametrize("names", [lambda state: state, _as_in_2018, _as_in_the_first_files], ids=["today", "2018", "first"])
def test_every_generation_of_names_gives_the_papers_answer(names) -> None:  # type: ignore[no-untyped-def]
    state, picture = _random(), torch.rand(1, 3, 14, 17)
    found = esrgan_importer.recognise(names(state))
    assert found is not None
    name, settings, tensors = found
    assert settings == {"channels": 3, "scale": 4, "width": 16, "growth": 8, "blocks": 2, "unshuffle": 1}
    network = networks.build(name, **settings)
    network.load_state_dict(tensors)
    torch.testing.assert_close(enlarge(picture, 4) + network(picture), _answer(state, picture), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("ups", "unshuffle", "scale"), [(2, 2, 2), (2, 4, 1), (1, 1, 2), (3, 1, 8)])
def test_other_scales(ups: int, unshuffle: int, scale: int) -> None:
    state, picture = _random(blocks=1, ups=ups, unshuffle=unshuffle), torch.rand(1, 3, 8, 12)
    found = esrgan_importer.recognise(state)
    assert found is not None
    assert found[1]["scale"] == scale
    network = networks.build(found[0], **found[1])
    network.load_state_dict(found[2])
    torch.testing.assert_close(enlarge(picture, scale) + network(picture), _answer(state, picture, ups, unshuffle), rtol=0, atol=1e-4)


def test_what_is_no_rrdb_is_left_to_others() -> None:
    assert esrgan_importer.recognise({"layer.weight": torch.zeros(3, 3, 3, 3)}) is None


def test_an_unknown_variant_says_what_does_not_fit() -> None:
    state = {**_random(), "attention.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"attention\.weight"):
        esrgan_importer.recognise(state)


@pytest.fixture
def own_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESTORE_WEIGHTS", str(tmp_path / "own"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "own"


@pytest.mark.parametrize("wrapper", [None, "params_ema", "params"])
def test_a_file_is_added_and_used_by_name(own_weights: Path, wrapper: str | None) -> None:
    state = _random()
    torch.save({wrapper: state} if wrapper else state, "net.pth")
    path = restore.add_weights("net.pth", "mine")
    assert path.parent == own_weights
    restorer = restore.load("mine", precision="fp32", tile=0)
    picture = np.random.default_rng(0).random((36, 40, 3), np.float32)
    expected = _answer(state, torch.from_numpy(picture.transpose(2, 0, 1))[None])[0].numpy().transpose(1, 2, 0)
    np.testing.assert_allclose(restorer(picture), expected, atol=1e-4)


def test_other_programs_networks_run_through_spandrel(own_weights: Path) -> None:
    compact = pytest.importorskip("spandrel.architectures.Compact")
    torch.manual_seed(0)
    network = compact.Compact(num_feat=16, num_conv=2, upscale=2).eval()
    torch.save({"params": network.state_dict()}, "compact.pth")
    restore.add_weights("compact.pth", "compact")
    picture = np.random.default_rng(0).random((40, 50, 3), np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(picture.transpose(2, 0, 1))[None]).clamp(0, 1)[0].numpy().transpose(1, 2, 0)
    restorer = restore.load("compact", precision="fp32", tile=0)
    np.testing.assert_allclose(restorer(picture), expected, atol=1e-3)  # the file holds half precision
    tiled = restore.load("compact", precision="fp32", tile=64)(np.tile(picture, (4, 4, 1)))
    assert tiled.shape == (320, 400, 3)


def test_what_nobody_knows_is_refused_by_name(own_weights: Path) -> None:
    torch.save({"mystery.weight": torch.zeros(4, 4, 3, 3)}, "mystery.pth")
    with pytest.raises(ValueError, match="mystery"):
        restore.add_weights("mystery.pth", "mystery")
