"""Exported networks compute what torch computes, for every row of two tables; what differs is refused, and nothing is written."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from restore_cli import app
from torch import Tensor
from typer.testing import CliRunner

import restore
from restore import networks, weights
from restore.exporting.checking import check, example, sides_of
from restore.exporting.export import graph_of, write
from restore.exporting.formats import FORMATS
from restore.exporting.graphs import Graph, generating, judging, restoring
from restore.images.noise_model import NoiseLevel
from restore.inference.loading import InferenceOptions, make_runner
from restore.networks import NETWORKS, generators
from restore.networks.generators import GENERATORS
from restore.networks.resample import enlarge
from restore.networks.spec import CONDITION_CHANNELS, ModelSpec, RestorationNetwork
from restore.runtime import Runtime

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = [name for name, kind in FORMATS.items() if not any(package.missing for package in kind.needs)]
Make = Callable[..., RestorationNetwork]
TINY_GENERATORS = {
    "mlp": {"widths": (8, 8)}, "dcgan": {"width": 4, "widest": 8}, "stylegan2": {"width": 4, "widest": 8, "style": 8, "mapping": 2},
    "r3gan": {"width": 4, "widest": 8, "group": 4}, "fastgan": {"width": 4, "widest": 8},
}  # fmt: skip
needs_onnx = pytest.mark.skipif("onnx" not in INSTALLED, reason="needs restore-suite[onnx]")
needs_openvino = pytest.mark.skipif("openvino" not in INSTALLED, reason="needs restore-suite[openvino]")


def _equal_everywhere(graph: Graph, folder: Path) -> None:
    """One ONNX model, in every runtime there is; and the trace."""
    write(graph, FORMATS["onnx"], folder / "a.onnx")
    if "openvino" in INSTALLED:
        check(graph, FORMATS["openvino"].runner(folder / "a.onnx"), "OpenVINO")
    write(graph, FORMATS["torchscript"], folder / "a.pt")


@needs_onnx
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_is_the_same_exported(tiny: Make, name: str, tmp_path: Path) -> None:
    network = tiny(name, channels=3).requires_grad_(False)
    graph = restoring(network, {})
    assert [entry.name for entry in graph.inputs] == ["picture", *network.spec.conditions]
    _equal_everywhere(graph, tmp_path)


@needs_onnx
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in {"dcgan", "stylegan2"} else pytest.mark.slow) for name in sorted(GENERATORS)]
)
def test_every_generator_is_the_same_exported(name: str, tmp_path: Path) -> None:
    network = _generator(name)
    graph = generating(network, {})
    assert [entry.name for entry in graph.inputs] == ["latent", "label", *(["noise"] if network.spec.pixel_noise else [])]
    _equal_everywhere(graph, tmp_path)


def _generator(name: str) -> torch.nn.Module:
    torch.manual_seed(1)
    config = generators.CONFIGS[name](latent=8, **TINY_GENERATORS[name])  # type: ignore[call-arg,arg-type]
    return generators.build(name, generators.settings_of(config, channels=1, side=16, classes=3)).eval().requires_grad_(False)


@needs_onnx
def test_an_error_head_is_the_same_exported(tmp_path: Path) -> None:
    network = networks.build("error_head", channels=3, width=8).eval().requires_grad_(False)
    _equal_everywhere(judging(network, {}), tmp_path)


@needs_onnx
@pytest.mark.parametrize(("name", "size"), [("resnet", {"blocks": 1}), ("pix2pix_unet", {"levels": 3})])
def test_instance_normalisation_takes_any_batch(name: str, size: dict[str, int], tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = networks.build(name, channels=1, width=4, norm="instance", **size).eval().requires_grad_(False)
    graph = restoring(network, {})
    assert graph.facts["whole_picture"] is True
    _equal_everywhere(graph, tmp_path)


@pytest.mark.parametrize("condition", ["quantisation", "blur"])
def test_a_condition_keeps_its_name_and_channels(tiny: Make, condition: str) -> None:
    picture, given = restoring(tiny("unet", condition=condition), {}).inputs
    assert given.name == condition and given.shape[1] == CONDITION_CHANNELS[condition]  # type: ignore[index]
    assert given.low < given.high and picture.shape == ("batch", 1, "height", "width")


def test_the_graph_restores_a_picture_and_hides_its_holes(tiny: Make) -> None:
    """The residual, the enlargement and the value of a hole are inside."""
    upscaler = tiny("upscaler", channels=3)
    picture = torch.rand(1, 3, 12, 9)
    with torch.no_grad():
        assert torch.equal(restoring(upscaler, {}).module(picture), upscaler(picture) + enlarge(picture, 2))
        inpainter = restoring(tiny("inpainter", channels=3), {}).module
        picture, mask = torch.rand(1, 3, 32, 32), torch.zeros(1, 1, 32, 32)
        mask[..., 8:20, 8:20] = 1
        filled = inpainter(picture, mask)
        assert torch.equal(filled[..., :8, :], picture[..., :8, :])
        assert torch.equal(filled, inpainter(torch.where(mask > 0, 7.0, picture), mask))


class Pretender(RestorationNetwork):
    """It computes something else when it is exported."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = ModelSpec(1, 1, receptive_field=0)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return picture * (0.11 if torch.compiler.is_exporting() or torch.jit.is_tracing() else 0.1)  # type: ignore[no-untyped-call]


class OneSize(Pretender):
    """A trace of it fits one size only."""

    def forward(self, picture: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return picture / int(picture.shape[2])


@pytest.mark.parametrize("kind", INSTALLED)
def test_what_differs_from_torch_is_not_written(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{FORMATS[kind].suffixes[-1]}"
    path.write_text("an older file")
    with pytest.raises(ValueError, match=rf"{kind} file differs from torch by 0\.0\d+ of the result's range \(32 x 32, batch 1\)"):
        write(restoring(Pretender().eval(), {}), FORMATS[kind], path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name] and path.read_text() == "an older file"


def test_a_trace_that_fits_one_size_only_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="differs from torch"):
        write(restoring(OneSize().eval(), {}), FORMATS["torchscript"], tmp_path / "a.pt")
    assert not list(tmp_path.iterdir())


@needs_onnx
def test_an_onnx_file_stands_alone_and_says_what_it_is(own_weights: Path, weights_file: Callable[..., Path], tmp_path: Path) -> None:
    import onnxruntime

    path = weights_file(own_weights / "mine.safetensors", channels=3, seed=4)
    path.with_suffix(".md").write_text("# Mine\n\n- for: my scans\n- licence: CC0\n")
    made = restore.export("mine", out=tmp_path / "new/mine.onnx")
    assert [entry.name for entry in made.path.parent.iterdir()] == ["mine.onnx"] and made.difference < 1e-5
    session = onnxruntime.InferenceSession(made.path, providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    assert (said["restore.name"], said["restore.licence"], said["restore.for"]) == ("mine", "CC0", "my scans")
    assert "# Mine" in said["restore.card"] and json.loads(said["restore.recipe"]) == weights.recipe(path)
    spec = networks.load(*_loaded(path)).spec
    assert [json.loads(said[f"restore.{key}"]) for key in ("multiple", "overlap", "scale")] == [spec.multiple, spec.overlap, 1]
    inputs = json.loads(said["restore.inputs"])
    assert [entry["name"] for entry in inputs] == ["picture", "noise"] == [entry.name for entry in session.get_inputs()]
    assert inputs[1]["meaning"] and inputs[1]["high"] > inputs[1]["low"]
    assert said["restore.sha256"] == weights.fingerprint(weights.entry(path))
    content = made.path.read_bytes()
    assert str(ROOT).encode() not in content and b"site-packages" not in content, "the exporter's notes name this machine's paths"


def _loaded(path: Path) -> tuple[str, dict[str, object], dict[str, Tensor]]:
    tensors, recipe = weights.load(path)
    return recipe["network"], recipe["settings"], tensors


@needs_openvino
def test_an_openvino_file_is_a_pair_with_its_metadata(own_weights: Path, weights_file: Callable[..., Path], tmp_path: Path) -> None:
    import openvino

    weights_file(own_weights / "mine.safetensors")
    made = restore.export("mine", "openvino", tmp_path / "mine.xml")
    assert {entry.name for entry in tmp_path.iterdir() if entry.is_file()} == {"mine.xml", "mine.bin"}
    model = openvino.Core().read_model(made.path)
    assert model.get_rt_info(["restore", "name"]).astype(str) == "mine"
    assert [entry.any_name for entry in model.inputs] == ["picture", "noise"]


def test_a_torchscript_file_has_its_metadata(own_weights: Path, weights_file: Callable[..., Path], tmp_path: Path) -> None:
    weights_file(own_weights / "mine.safetensors")
    result = CliRunner().invoke(app, ["export", "mine", "--format", "torchscript", "--out", str(tmp_path / "mine.pt")])
    assert result.exit_code == 0 and "inputs picture, noise" in result.output
    extra = {"restore.json": ""}
    with pytest.warns(FutureWarning):
        torch.jit.load(str(tmp_path / "mine.pt"), _extra_files=extra)
    assert json.loads(extra["restore.json"])["name"] == "mine"
    again = CliRunner().invoke(app, ["export", "mine", "--format", "torchscript", "--out", str(tmp_path / "mine.pt")])
    assert isinstance(again.exception, ValueError) and "or --overwrite it" in str(again.exception)


def test_a_part_of_weights_is_named_in_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    one, two = (graph_of(weights.find("photo2paint"), part) for part in ("forward", "backward"))
    assert (one.facts["part"], two.facts["part"]) == ("forward", "backward")
    picture = torch.rand(1, 3, 16, 16)
    assert not torch.equal(one.module(picture), two.module(picture))
    with pytest.raises(ValueError, match="no direction 'sideways'"):
        restore.export("photo2paint", "torchscript", part="sideways")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"to": "onyx"}, "unknown export format 'onyx': use one of onnx, openvino, torchscript"),
        ({"to": "torchscript", "out": "a.onnx"}, "a file of torchscript ends with .pt"),
        ({"name": "nothing"}, "no weights called 'nothing'"),
        ({"part": "backward"}, "sharpen holds one network, not several: leave the part 'backward' out"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=said):
        restore.export(**{"name": "sharpen", "to": "torchscript", **given})  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("kind", "module"), [("onnx", "onnxruntime"), ("openvino", "openvino"), ("openvino", "onnxscript")])
def test_a_missing_package_names_its_extra(kind: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None if name == module else known(name, package))
    with pytest.raises(ValueError, match=rf"install {module} \(pip install 'restore-suite\[\w+\]'\)"):
        restore.export("sharpen", kind)


def test_the_check_tries_five_sizes_and_two_batches() -> None:
    seen = set()

    def run(inputs: list[np.ndarray]) -> list[np.ndarray]:
        seen.add(inputs[0].shape)
        return [inputs[0] * np.float32(1.1)]

    assert check(restoring(Pretender().eval(), {}), run, "it") < 1e-6  # type: ignore[arg-type]
    assert len(seen) == 10 and {shape[0] for shape in seen} == {1, 2} and any(shape[2] % 2 for shape in seen)
    entry = restoring(Pretender().eval(), {}).inputs[0]
    assert np.array_equal(example(entry, 2, (40, 32), 1), example(entry, 2, (40, 32), 1))
    assert sides_of(16, 1, 0) == (48, 32)


@needs_onnx
def test_the_script_of_the_docs_runs_with_onnx_runtime_alone(
    own_weights: Path, weights_file: Callable[..., Path], tiny: Make, fp32: Runtime, tmp_path: Path
) -> None:
    (script,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/export.md").read_text(), re.MULTILINE | re.DOTALL)
    assert "restore" not in {line.split()[1].split(".")[0] for line in script.splitlines() if "import" in line}
    weights_file(own_weights / "mine.safetensors")
    restore.export("mine", out=tmp_path / "denoise-gray.onnx")
    pixels = np.random.default_rng(0).integers(60, 200, (45, 38), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "scan.png")
    subprocess.run([sys.executable, "-I", "-c", script], cwd=tmp_path, check=True)
    made = np.asarray(Image.open(tmp_path / "clean.png"))
    own = make_runner(tiny(), InferenceOptions(fp32)).run(pixels[:, :, None] / np.float32(255), level=NoiseLevel.gaussian(25.0))[0]
    assert np.abs(np.clip(own[:, :, 0], 0, 1) * 255 - made).max() < 0.6
    assert (made != pixels).mean() > 0.5


@pytest.mark.slow
@needs_onnx
@needs_openvino
@pytest.mark.parametrize("entry", [one for one in weights.catalogue() if weights.ships(one.name)], ids=lambda one: one.name)
def test_what_ships_is_the_same_exported(entry: weights.Entry, tmp_path: Path) -> None:
    for part in entry.recipe.get("directions") or [None]:
        made = restore.export(entry.name, out=tmp_path / f"{part}.onnx", part=part)
        check(made.graph, FORMATS["openvino"].runner(made.path), "OpenVINO")
