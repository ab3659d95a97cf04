"""Every engine restores as torch does, and says before a run what it cannot do."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import restore
from restore import networks, weights
from restore.exporting import cached_model
from restore.exporting.formats.onnx import runner
from restore.images.noise_model import NoiseLevel
from restore.inference import engines
from restore.inference.defect_detector import DefectDetector
from restore.inference.denoiser import Denoiser
from restore.inference.engines import ENGINES
from restore.inference.loading import InferenceOptions, make_runner
from restore.networks.spec import RestorationNetwork
from restore.pipeline.batch import Report
from restore.runtime import Runtime

Make = Callable[..., RestorationNetwork]
Smooth = Callable[..., np.ndarray]
INSTALLED = [name for name, row in ENGINES.items() if row.needs and not any(package.missing for package in row.needs)]
every_other_engine = pytest.mark.parametrize("engine", INSTALLED)
needs_openvino = pytest.mark.skipif("openvino" not in INSTALLED, reason="needs restore-suite[openvino]")
needs_onnx = pytest.mark.skipif("onnx" not in INSTALLED, reason="needs restore-suite[onnx]")


@every_other_engine
def test_an_engine_restores_as_torch_does(engine: str, fp32: Runtime, tiny: Make, smooth: Smooth) -> None:
    """Gray and colour, in tiles, turned, several at once, at odd sizes."""
    network = tiny()
    torchs, others = (Denoiser(network, options=InferenceOptions(fp32, 64, 2, 4, name)) for name in (engines.TORCH, engine))
    for picture in (smooth(101, 150), smooth(33, 70, 3), smooth(5, 9)):
        expected, told = torchs.denoise(picture, 25.0)
        restored, info = others.denoise(picture, 25.0)
        np.testing.assert_allclose(restored, expected, atol=1e-5)
        assert info.stats() == {**told.stats(), "engine": engine}


@every_other_engine
@pytest.mark.parametrize(("name", "channels"), [("upscaler", 3), ("inpainter", 3), ("luma_chroma_unet", 3)])
def test_an_engine_runs_what_enlarges_and_what_takes_a_mask(
    engine: str, name: str, channels: int, fp32: Runtime, tiny: Make, smooth: Smooth
) -> None:
    network, picture = tiny(name, channels), smooth(40, 45, channels)
    mask = picture[:, :, 0] > 0.6 if network.spec.takes_mask else None
    expected, restored = (
        make_runner(network, InferenceOptions(fp32, engine=each)).run(picture, level=NoiseLevel.gaussian(20.0), mask=mask)[0]
        for each in (engines.TORCH, engine)
    )
    np.testing.assert_allclose(restored, expected, atol=1e-5)


@every_other_engine
def test_zero_weights_are_the_identity(engine: str, fp32: Runtime, tiny: Make, smooth: Smooth) -> None:
    network, picture = tiny(), smooth(40, 50)
    for parameter in network.parameters():
        parameter.data.zero_()
    assert np.array_equal(make_runner(network, InferenceOptions(fp32, engine=engine)).run(picture)[0], picture)


@needs_openvino
def test_openvino_computes_in_the_precision_that_is_asked_for(tiny: Make, smooth: Smooth) -> None:
    """So a faulty tile can be redone in float32."""
    runtime = Runtime(torch.device("cpu"), torch.bfloat16)
    engine = engines.make("openvino", tiny(), runtime)
    tiles, maps = [smooth(48, 48)], [np.full((48, 48, 1), 0.1, np.float32)]
    exact = engines.make(engines.TORCH, tiny(), runtime).run(tiles, maps, "fp32", [(0, False)])[0]
    for precision, tolerance in (("fp32", 1e-6), ("bf16", 0.02)):
        np.testing.assert_allclose(engine.run(tiles, maps, precision, [(0, False)])[0], exact, atol=tolerance)
    engine.release_memory()
    assert np.abs(engine.run(tiles, maps, "fp32", [(0, False)])[0] - exact).max() < 1e-6


ENDED_ELSEWHERE = """
import gc, os, signal, sys, threading
from pathlib import Path
import numpy as np, openvino
from openvino import opset13
from restore.exporting.formats.openvino import OpenVino

pixels = opset13.parameter([1, 1, 8, 8], np.float32)
openvino.save_model(openvino.Model([opset13.relu(pixels)], [pixels]), sys.argv[1])
made = [OpenVino().runner(Path(sys.argv[1]))]
made[0]([np.zeros((1, 1, 8, 8), np.float32)])
thread = threading.Thread(target=lambda: (made.clear(), gc.collect()))
thread.start()
thread.join()
signal.signal(signal.SIGTERM, lambda *_: print("alive"))
os.kill(os.getpid(), signal.SIGTERM)
"""


@needs_openvino
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_signal_after_openvino_ended_in_another_thread_is_harmless(tmp_path: Path) -> None:
    """OpenVINO unmapped the signal stack of the thread that had loaded it."""
    done = subprocess.run(
        [sys.executable, "-c", ENDED_ELSEWHERE, str(tmp_path / "relu.xml")], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


@needs_onnx
def test_a_model_is_made_once_and_a_damaged_one_again(tiny: Make, fp32: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, model_of_others = (cached_model.correction_model(tiny(seed=seed), runner, "onnx") for seed in (0, 1))
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path / "cache"))
    made: list[int] = []
    monkeypatch.setattr(cached_model, "model_of", lambda graph: made.append(1) or model)
    for count in (1, 1):
        engines.make("onnx", tiny(), fp32)
        assert len(made) == count
    (kept,) = (tmp_path / "cache").iterdir()
    whole = kept.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"no model", model_of_others):
        kept.write_bytes(damaged)
        made.clear()
        engines.make("onnx", tiny(), fp32)
        assert made == [1] and kept.read_bytes() == whole
    with pytest.raises(ValueError, match="engine onnx differs from torch"):  # other weights want a model of their own
        engines.make("onnx", tiny(seed=1), fp32)


@needs_onnx
def test_without_a_folder_for_the_cache_the_model_stays_in_memory(
    tiny: Make, fp32: Runtime, smooth: Smooth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = cached_model.correction_model(tiny(), runner, "onnx")
    monkeypatch.setattr(cached_model, "model_of", lambda graph: model)
    (tmp_path / "file").touch()
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path / "file" / "cache"))
    assert Denoiser(tiny(), options=InferenceOptions(fp32, engine="onnx")).denoise(smooth(), 25.0)[1].engine == "onnx"


@needs_onnx
def test_memory_that_runs_out_halves_the_tile(tiny: Make, fp32: Runtime, smooth: Smooth, monkeypatch: pytest.MonkeyPatch) -> None:
    denoiser = Denoiser(tiny(), options=InferenceOptions(fp32, 128, engine="onnx"))
    engine = denoiser.runner.runner.engine
    run = vars(engine)["_run"]

    def short(inputs: list[np.ndarray]) -> list[np.ndarray]:
        if inputs[0].shape[2] > 64:
            raise Exception("[ONNXRuntimeError] : 6 : Failed to allocate memory for requested buffer of size 1")
        return run(inputs)

    monkeypatch.setattr(engine, "_run", short)
    assert denoiser.denoise(smooth(128, 128), 25.0)[1].tile == 64


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != engines.TORCH])
def test_a_network_that_needs_the_whole_pictures_statistics_is_refused_before_the_run(
    engine: str, own_weights: Path, fp32: Runtime
) -> None:
    settings: dict[str, object] = {"channels": 3, "width": 4, "blocks": 1, "norm": "instance"}
    network = networks.build("resnet", **settings)
    weights.save(own_weights / "style.safetensors", network.state_dict(), {"task": "translate", "network": "resnet", "settings": settings})
    with pytest.raises(ValueError, match=f"style: the engine {engine} cannot run this network: it normalises by the whole picture"):
        restore.step("translate", weights="style", inference=InferenceOptions(fp32, engine=engine))
    with pytest.raises(ValueError, match="cannot run this network"):
        engines.make(engine, network, fp32)
    with pytest.raises(ValueError, match="those of other programs run in torch only"):
        engines.check_network(engine, networks.build("unet", channels=1).spec, trainable=False)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"engine": "openvin"}, "unknown engine 'openvin': use one of torch, onnx, openvino.*openvino"),
        ({"engine": "onnx", "precision": "bf16"}, "the engine onnx computes in fp32 only, not in bf16"),
        ({"engine": "openvino", "precision": "fp16"}, "the engine openvino computes in fp32 and bf16 only, not in fp16"),
    ],
)
def test_what_an_engine_cannot_do_is_refused(given: dict[str, str], said: str) -> None:
    if given["engine"] in ENGINES and given["engine"] not in INSTALLED:
        pytest.skip("needs its extra")
    with pytest.raises(ValueError, match=said):
        engines.choose(**given)


@every_other_engine
def test_a_device_that_an_engine_does_not_know_is_refused(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("restore.runtime.available_devices", lambda: ["mps", "cpu"])
    assert engines.choose(engine).device.type == "cpu"
    with pytest.raises(ValueError, match=f"the engine {engine} runs on cpu only, not on mps"):
        engines.choose(engine, "mps")


@pytest.mark.parametrize(("engine", "module"), [("onnx", "onnxruntime"), ("openvino", "openvino"), ("openvino", "onnxscript")])
def test_a_missing_package_is_one_line_before_the_run(
    engine: str, module: str, photos: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None if name == module else known(name, package))
    with pytest.raises(ValueError, match=rf"the engine {engine} is not installed: install \w+ \(pip install 'restore-suite\[\w+\]'\)"):
        restore.run("denoise", photos(tmp_path / "in"), tmp_path / "out", engine=engine)
    assert not (tmp_path / "out").exists()


@needs_onnx
def test_another_engine_restores_again_and_is_reported(
    own_weights: Path, weights_file: Callable[..., Path], photos: Callable[..., Path], tmp_path: Path
) -> None:
    """Its pictures may differ in the last bit, so the engine is one of the settings."""
    weights_file(own_weights / "mine.safetensors")
    source, out = photos(tmp_path / "in", 2), tmp_path / "out"

    def run(engine: str) -> Report:
        return restore.run("denoise", source, out, weights="mine", engine=engine, device="cpu", precision="fp32")

    first, again, other, last = run("torch"), run("torch"), run("onnx"), run("onnx")
    assert [(one.done, one.skipped) for one in (first, again, other, last)] == [(2, 0), (0, 2), (2, 0), (0, 2)]
    assert [record.stats["engine"] for record in other.records] == ["onnx", "onnx"]


@needs_onnx
def test_a_detector_runs_in_an_engine(fp32: Runtime, tiny: Make, smooth: Smooth) -> None:
    network = tiny("pix2pix_unet")
    found = [DefectDetector(network, options=InferenceOptions(fp32, engine=name)).detect(smooth(64, 80)) for name in ("torch", "onnx")]
    assert np.array_equal(*found)


def test_enhance_says_that_it_does_not_use_the_engine(fp32: Runtime) -> None:
    assert restore.step("enhance", inference=InferenceOptions(fp32, engine="onnx")).remarks() == [
        "enhance computes its tables with torch, not with onnx"
    ]
    assert restore.step("enhance", inference=InferenceOptions(fp32)).remarks() == []


def test_engines_is_its_folder() -> None:
    folder = Path(engines.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__", "base"} == ENGINES.keys()
    for name, row in ENGINES.items():
        module, _, kind = row.engine.partition(":")
        assert module.endswith(f".{name}") and importlib.import_module(module).__dict__[kind].name == name
