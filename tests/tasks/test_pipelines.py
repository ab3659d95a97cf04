"""`restore run`: steps from a file, equal to the same steps on arrays; wrong steps and options are named before any work."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from pydicom.data import get_testdata_file
from restore_cli import app
from typer.testing import CliRunner

import restore
from restore import images, weights
from restore.inference.loading import InferenceOptions
from restore.pipeline.batch import BatchOptions
from restore.pipeline.chain import Chain
from restore.pipeline.step import image_of
from restore.runtime import Runtime
from restore.tasks import TASKS, pipelines

Make = Callable[..., torch.nn.Module]
Smooth = Callable[..., np.ndarray]
STEPS = """
[[step]]
task = "denoise"
weights = "little"
strength = 0.8

[[step]]
task = "inpaint"
weights = "holes"
scratches = true
sensitivity = 0.9

[[step]]
task = "upscale"
weights = "twice"
"""


WEIGHTS = {
    "denoise": "little", "upscale": "twice", "artifacts": "blocks", "sharpen": "soft", "enhance": "table", "inpaint": "holes",
    "colorize": "colours", "translate": "paint", "simulate": None,
}  # fmt: skip
"""The tiny weights of every task."""
OPTIONS: dict[str, dict[str, Any]] = {
    "inpaint": {"mask_color": "#808080", "mask_tolerance": 20, "save_masks": "masks"}, "simulate": {"recipe": "phone"},
    "artifacts": {"quality": 20}, "sharpen": {"blur": 1.5},
}  # fmt: skip
"""Options with which a task changes any picture."""


@pytest.fixture
def little(
    own_weights: Path,
    weights_file: Callable[..., Path],
    tiny: Make,
    tiny_variants: dict[str, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Tiny weights for every step, and the folder to work in."""
    weights_file(own_weights / "little.safetensors")
    for name, task, network, settings in (
        ("holes", "inpaint", "inpainter", {"channels": 3}),
        ("twice", "upscale", "upscaler", {"channels": 3}),
        ("table", "enhance", "lut", {"channels": 3}),
        ("paint", "translate", "unet", {"channels": 1}),
        ("blocks", "artifacts", "unet", {"channels": 1, "condition": "quantisation"}),
        ("soft", "sharpen", "unet", {"channels": 1, "condition": "blur"}),
        ("colours", "colorize", "colorizer", {"channels": 3}),
    ):
        recipe = {"task": task, "network": network, "settings": {**tiny_variants[network], **settings}}
        weights.save(own_weights / f"{name}.safetensors", tiny(network, **settings).state_dict(), recipe)
    return Path.cwd()


def _chain(runtime: Runtime) -> Chain:
    inference = InferenceOptions(runtime)
    return Chain([
        restore.step("denoise", weights="little", options={"strength": 0.8}, inference=inference),
        restore.step("inpaint", weights="holes", options={"scratches": True, "sensitivity": 0.9}, inference=inference),
        restore.step("upscale", weights="twice", inference=inference),
    ])  # fmt: skip


def test_a_pipeline_over_files_is_the_same_steps_over_arrays(little: Path, fp32: Runtime, smooth: Smooth) -> None:
    (little / "in").mkdir()
    scene = smooth(60, 80)[:, :, 0] + 0.03 * np.random.default_rng(0).standard_normal((60, 80)).astype(np.float32)
    scene[10:12, 5:70] = 1.0
    tifffile.imwrite(little / "in/scan.tif", np.clip(scene * 60000, 0, 65535).astype(np.uint16))
    ct = Path(get_testdata_file("CT_small.dcm"))
    (little / "in/ct.dcm").write_bytes(ct.read_bytes())
    (little / "steps.toml").write_text(STEPS)
    report = restore.run_pipeline("steps.toml", "in", "out", device="cpu", precision="fp32")
    assert report.done == 2, [record.error for record in report.records]
    for record in report.records:
        picture = images.read(record.input)
        frame = picture.frame(0)
        image = image_of(frame, picture, 0, Path(record.input.name))
        for step in _chain(fp32).steps:
            result = step(image)
            image = image_of_result(image, result.pixels)
        assert record.output is not None
        expected = frame.resized(*image.pixels.shape[:2]).encode(image.pixels)
        np.testing.assert_array_equal(images.read(record.output).frame(0).stored, expected)
        assert list(record.stats) == ["denoise", "inpaint", "upscale"]
    again = restore.run_pipeline("steps.toml", "in", "out", device="cpu", precision="fp32")
    assert again.skipped == 2


def image_of_result(image: Any, pixels: np.ndarray) -> Any:
    """The next step's image, without alpha."""
    from dataclasses import replace

    return replace(image, pixels=pixels)


def test_a_step_can_be_pickled(little: Path, fp32: Runtime, smooth: Smooth) -> None:
    from restore.pipeline.step import Image

    chain, image = _chain(fp32), Image(smooth(40, 50))
    before = chain(image)
    copied = pickle.loads(pickle.dumps(chain))
    np.testing.assert_array_equal(copied(image).pixels, before.pixels)


@pytest.mark.parametrize("task", TASKS)
def test_serial_and_threaded_runs_are_equal(task: str, little: Path, weights_file: Callable[..., Path], smooth: Smooth) -> None:
    (little / "in").mkdir()
    for number in range(3):
        tifffile.imwrite(
            little / f"in/{number}.tif",
            (np.stack([smooth(40, 50, seed=number + k)[:, :, 0] for k in range(2)]) * 255).astype(np.uint8),
        )
    name = WEIGHTS[task]
    options = OPTIONS.get(task, {})
    written = []
    for executor in ("serial", "threads"):
        batch = BatchOptions(executor=executor)
        report = restore.run(task, "in", executor, weights=name, options=options, device="cpu", precision="fp32", batch=batch)
        assert report.done == 3, [record.error for record in report.records]
        written.append({path.name: path.read_bytes() for path in sorted(Path(executor).glob("*.tif"))})
    assert written[0] == written[1]


def test_an_editors_mark_may_begin_the_file(tmp_path: Path) -> None:
    (tmp_path / "steps.toml").write_text('[[step]]\ntask = "denoise"\n', encoding="utf-8-sig")
    assert pipelines.tables(tmp_path / "steps.toml") == [{"task": "denoise"}]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[step]]\ntask = ["denoise"]', r"step 1 has an unknown task \['denoise'\]"),
        ("[[step]]\ntask = {a = 1}", r"step 1 has an unknown task \{'a': 1\}"),
        ('[[step]]\ntask = "denois"', r"step 1 has an unknown task 'denois'.*did you mean denoise\?"),
        ('[[step]]\ntask = "denoise"\nstrengh = 0.5', r"step 1: denoise has no option strengh.*did you mean strength\?"),
        ('[[step]]\ntask = "denoise"\n[[step]]\ntask = "upscale"\nscale = 9', r"step 2: scale must be above 1 and at most 4, not 9"),
        ('[[step]]\nstrength = 1', "step 1 has no task"), ("", "has no step"),
        ("[[steps]]", r"unknown table 'steps'.*did you mean step\?"),
        ("[step]", "has no step"), ("[[step", "not a TOML file"),
        ('[[step]]\ntask = "denoise"\nweights = 5', "step 1: weights must be a name or a file, not 5"),
        ('[[step]]\ntask = "denoise"\nweights = ["denoise-gray"]', r"step 1: weights must be a name or a file, not \['denoise-gray'\]"),
        ('[[step]]\ntask = "denoise"\nweights = true', "step 1: weights must be a name or a file, not True"),
        ('[[step]]\ntask = "denoise"\nweights = ""', "step 1: weights is empty"),
        ('[[step]]\ntask = "colorize"\nhint = 5', "step 1: hint must be a path, not 5"),
        ('[[step]]\ntask = "inpaint"\nmasks = ["m"]', r"step 1: masks must be a path, not \['m'\]"),
        ('[[step]]\ntask = "inpaint"\nsave_masks = false', "step 1: save_masks must be a path, not False"),
        ('[[step]]\ntask = "inpaint"\nmask_color = ["#112233"]', "step 1: mask_color must be like"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_and_the_nearest_name_given(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "steps.toml").write_text(text)
    with pytest.raises(ValueError, match=words):
        pipelines.tables(tmp_path / "steps.toml")


@pytest.mark.parametrize("weights", [5, ["denoise-gray"], True, ""])
def test_weights_of_the_wrong_type_are_refused_by_the_api(weights: object, little: Path, tmp_path: Path) -> None:
    words = "weights must be a name or a file" if weights != "" else "weights is empty"
    with pytest.raises(ValueError, match=words):
        restore.step("denoise", weights=weights)  # type: ignore[arg-type]  # what callers without a type checker may pass
    (little / "steps.toml").write_text('[[step]]\ntask = "denoise"\n')
    for further in ({"changes": {"denoise": {"weights": weights}}}, {"more": [{"task": "denoise", "weights": weights}]}):
        with pytest.raises(ValueError, match=rf"step [12]: {words}"):
            restore.run_pipeline(little / "steps.toml", [tmp_path], tmp_path / "out", **further)


def test_the_command(little: Path, smooth: Smooth) -> None:
    (little / "in").mkdir()
    tifffile.imwrite(little / "in/a.tif", (smooth(30, 40)[:, :, 0] * 255).astype(np.uint8))
    (little / "steps.toml").write_text(STEPS)
    call = CliRunner().invoke
    done = call(app, ["run", "steps.toml", "in", "--out", "out", "--precision", "fp32"])
    assert done.exit_code == 0, done.output
    assert images.read(little / "out/a.tif").size == (60, 80)
    wrong = call(app, ["run", "steps.toml", "in", "--out", "other", "--weights", "little"])
    assert wrong.exit_code and "No such option: --weights" in f"{wrong.output} {wrong.exception}"
    (little / "steps.toml").write_text('[[step]]\ntask = "denoise"\nnoise = 3')
    refused = call(app, ["run", "steps.toml", "in", "--out", "other"])
    assert refused.exit_code and "noise_level" in f"{refused.output} {refused.exception}"
    assert not (little / "other").exists()


def test_a_wrong_file_is_refused_before_torch_is_imported(tmp_path: Path) -> None:
    (tmp_path / "steps.toml").write_text('[[step]]\ntask = "denois"')
    program = (
        "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules))\nimport restore_cli; restore_cli.main(sys.argv[1:])"
    )
    command = [
        sys.executable,
        "-c",
        program,
        "run",
        str(tmp_path / "steps.toml"),
        str(tmp_path),
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (2, "False\n")
    assert "did you mean denoise?" in done.stderr


@pytest.mark.parametrize("name", sorted(pipelines.shipped()))
def test_a_pipeline_that_ships_is_sound_and_found_by_its_name(name: str) -> None:
    assert pipelines.find(name) == pipelines.shipped()[name]
    assert pipelines.tables(pipelines.find(name))
    with pytest.raises(ValueError, match="did you mean"):
        pipelines.find(f"{name}s")


def test_a_folder_of_pictures_does_not_hide_a_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("xray").mkdir()
    assert pipelines.find("xray") == pipelines.shipped()["xray"]


def test_further_steps_follow_those_of_the_file(little: Path, smooth: Smooth) -> None:
    (little / "in").mkdir()
    tifffile.imwrite(little / "in/a.tif", (255 * smooth(40, 50)[:, :, 0]).astype(np.uint8))
    (little / "steps.toml").write_text('[[step]]\ntask = "denoise"\nweights = "little"\n')
    more = [{"task": "upscale", "weights": "twice"}]
    report = restore.run_pipeline("steps.toml", "in", "out", more=more, device="cpu", precision="fp32")
    assert list(report.records[0].stats) == ["denoise", "upscale"]
    with pytest.raises(ValueError, match=r"step 2: .*upscale has no option"):
        restore.run_pipeline("steps.toml", "in", "out", more=[{"task": "upscale", "scales": 2}], device="cpu")


def test_old_photo_is_the_shipped_pipeline_with_its_flags(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        restore.api, "run_pipeline", lambda path, *_, changes, more, **__: asked.append((path, changes, list(more))) or sys.exit(7)
    )
    for flags, changes, more in (
        ([], {}, []), (["--colorize", "--upscale", "2"], {}, [{"task": "colorize"}, {"task": "upscale", "scale": 2.0}]),
        (["--no-scratches"], None, []), (["--sensitivity", "0.1", "--save-masks", "m"], {"sensitivity": 0.1, "save_masks": "m"}, []),
    ):  # fmt: skip
        result = CliRunner().invoke(app, ["old-photo", str(tmp_path), "--out", str(tmp_path / "out"), *flags])
        assert result.exit_code == 7
        assert asked.pop() == (pipelines.shipped()["old-photo"], {"inpaint": changes}, more)
    for flags in (["--no-scratches", "--sensitivity", "0.1"], ["--weights", "inpaint"]):
        assert CliRunner().invoke(app, ["old-photo", str(tmp_path), "--out", str(tmp_path / "out"), *flags]).exit_code == 2


def test_steps_of_a_file_can_be_changed_or_left_out(little: Path, smooth: Smooth) -> None:
    (little / "in").mkdir()
    tifffile.imwrite(little / "in/a.tif", (255 * smooth(40, 50)[:, :, 0]).astype(np.uint8))
    (little / "steps.toml").write_text(
        '[[step]]\ntask = "inpaint"\nscratches = true\n[[step]]\ntask = "denoise"\nweights = "little"\nstrength = 0.5\n'
    )
    changes = {"inpaint": None, "denoise": {"strength": 0.0}}
    report = restore.run_pipeline("steps.toml", "in", "out", changes=changes, device="cpu", precision="fp32")
    assert list(report.records[0].stats) == ["denoise"]
    np.testing.assert_array_equal(tifffile.imread("out/a.tif"), tifffile.imread("in/a.tif"))
    for wrong, words in (({"enhance": None}, "no step 'enhance'"), ({"inpaint": None, "denoise": None}, "no step left")):
        with pytest.raises(ValueError, match=words):
            restore.run_pipeline("steps.toml", "in", "out", changes=wrong, device="cpu")


def test_old_photo_passes_what_the_pictures_show_to_its_steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("restore_cli.restore_commands.restore_pictures", lambda path, *_, **steps: asked.append(steps))
    command = ["old-photo", str(tmp_path), "--out", str(tmp_path / "out"), "--colorize", "--content", "photograph"]
    assert CliRunner().invoke(app, command).exit_code == 0
    content = {"content": "photograph"}
    assert asked.pop() == {
        "changes": {"inpaint": {}, "denoise": content, "enhance": content}, "more": [{"task": "colorize", **content}]
    }  # fmt: skip
    assert CliRunner().invoke(app, [*command[:-1], "painting"]).exit_code == 2
