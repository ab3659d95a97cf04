"""The GPU kit, whole, on this machine: packed, run by steps, brought back, and gone on from."""

from __future__ import annotations

import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch

import restore
from restore import weights
from restore.tasks.training_methods import METHODS
from restore.training import checkpoint
from restore.training import config as configuration
from restore.training.journal import Progress

Photos = Callable[..., Path]
FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
TINY = {
    "device": "cpu", "precision": "fp32", "network.widths": "8,8", "network.blocks": "1,1", "data.crop": "16", "loop.batch_size": "4",
    "data.test_fraction": "0.3",
}  # fmt: skip


@pytest.fixture
def kit(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    import gpu_kit

    return gpu_kit


@pytest.fixture
def datasets(photos: Photos, own_weights: Path) -> Path:
    """A folder of data sets in a working directory of the test's own."""
    assert own_weights.is_dir()
    photos(Path("sets/photos/open"), count=4, channels=3)
    (Path("sets/photos/open") / "sources.tsv").write_text("file\tsource\n")
    photos(Path("sets/photos/cc"), count=2, channels=3)
    return Path("sets")


def test_a_job_is_packed_trained_brought_back_and_gone_on_from(kit: ModuleType, datasets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kit.main(["pack", str(datasets), "--job", "denoise-gray", "--out", "kit"])
    assert (Path("kit") / "run.sh").is_file() and (Path("kit") / "restore" / "api.py").is_file()
    listing = (Path("kit") / "data" / "listing.tsv").read_text().splitlines()
    assert len(listing) == 7 and all(line.endswith("the file") for line in listing[1:])
    assert (Path("kit") / "data/photos/open/sources.tsv").is_file()
    settings = [f"--set={key}={value}" for key, value in TINY.items()]
    kit.main(["run", "--job", "denoise-gray", "--data", "kit/data", "--steps", "6", "--out", "back", *settings])
    printed = capsys.readouterr().out
    assert "TFLOP/s" in printed and "validation psnr" in printed
    assert sorted(path.name for path in Path("back").iterdir()) == ["denoise-gray-checkpoint.0", "denoise-gray.zip"]
    kit.main(["unpack", "back", "--runs", "runs/gpu"])
    run = Path("runs/gpu/denoise-gray")
    assert checkpoint.load(run)["step"] == 6
    config = tomllib.loads((run / "config.toml").read_text())
    assert (config["optimizer"]["decay_start"], config["optimizer"]["decay_steps"], config["loop"]["checkpoint_every"]) == (4, 2, 2)
    trained = run / "denoise-gray.safetensors"
    assert weights.recipe(trained)["steps"] == 6
    noisy = np.random.default_rng(0).random((20, 24)).astype(np.float32)
    assert restore.load(str(trained), device="cpu")(noisy).shape == noisy.shape
    more = restore.train("denoise", datasets, out=run, resume=True, overrides={"loop.steps": "7", "data.on_device": "false"})
    start = restore.train(
        "denoise", datasets, out="runs/next", overrides={**TINY, "start_from": str(trained), "loop.steps": "1", "noise.sigma": "5,50"}
    )
    assert more.steps == 7 and start.steps == 1


def test_pictures_are_reduced_until_they_fit(kit: ModuleType, tmp_path: Path) -> None:
    import gpu_pack

    rng = np.random.default_rng(0)
    files = [tmp_path / "in" / f"{index}.png" for index in range(3)]
    files[0].parent.mkdir()
    for path in files[:2]:
        cv2.imwrite(str(path), rng.integers(0, 256, (800, 900, 3), np.uint8))
    cv2.imwrite(str(files[2]), rng.integers(0, 256, (60, 50), np.uint8))
    assert gpu_pack.copy_pictures(files, tmp_path / "in", tmp_path / "all", 10**8).startswith("3 of 3 pictures, as they are")
    budget = sum(len(gpu_pack.reduced(path, 640)) for path in files) + 1000
    assert "3 of 3 pictures, reduced to a shorter side of 640" in gpu_pack.copy_pictures(files, tmp_path / "in", tmp_path / "some", budget)
    assert gpu_pack.size(tmp_path / "some") <= budget
    pixels = cv2.imread(str(tmp_path / "some/data/0.png.jpg"))
    assert pixels is not None and pixels.shape == (640, 720, 3)
    assert (tmp_path / "some/data/2.png").read_bytes() == files[2].read_bytes()
    assert "1 of 3 pictures" in gpu_pack.copy_pictures(files, tmp_path / "in", tmp_path / "few", 10_000)


def test_a_large_checkpoint_travels_in_parts(kit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu_pack

    monkeypatch.setattr(gpu_pack, "PART", 10)
    run = tmp_path / "job"
    run.mkdir()
    (run / "checkpoint.pt").write_bytes(bytes(range(105)))
    gpu_pack.bring_back(run, tmp_path / "back")
    assert len(list((tmp_path / "back").iterdir())) == 12
    gpu_pack.unpack(tmp_path / "back", tmp_path / "again")
    assert (tmp_path / "again/job/checkpoint.pt").read_bytes() == bytes(range(105))
    with pytest.raises(ValueError, match="is there already"):
        gpu_pack.unpack(tmp_path / "back", tmp_path / "again")


def test_a_wheel_of_many_libraries_is_thinned(kit: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    for name in ("imagecodecs-1-cp312.whl", "other-1-py3.whl"):
        with zipfile.ZipFile(tmp_path / "wheels" / name, "w") as wheel:
            for member in ("package/__init__.py", "package/_jpeg8.abi3.so", "package/_avif.abi3.so", "libs/libjpeg-12.so.8"):
                wheel.writestr(member, member)
    kit.gpu_pack.copy_code(tmp_path / "kit", ["denoise-gray"], tmp_path / "wheels")
    thin, whole = (zipfile.ZipFile(path).namelist() for path in sorted((tmp_path / "kit/wheels").iterdir()))
    assert thin == ["package/__init__.py", "package/_jpeg8.abi3.so", "libs/libjpeg-12.so.8"] and len(whole) == 4
    assert (tmp_path / "kit/restore/shipped/denoise-gray.safetensors").is_file()


def test_every_job_is_a_recipe_of_its_method_that_the_device_can_run(kit: ModuleType) -> None:
    assert {path.stem for path in (FOLDER / "gpu_jobs").glob("*.toml")} == set(kit.JOBS)
    for job, method in kit.JOBS.items():
        config = configuration.resolve(METHODS[method].config, FOLDER / "gpu_jobs" / f"{job}.toml", {})
        assert config.data.on_device and config.data.scales[1] <= 1 and config.loop.batch_size >= 128
        assert kit.step_flops(method, FOLDER / "gpu_jobs" / f"{job}.toml", {}) > 1e9
        assert not any("bsds500" in pattern or "test" in pattern for pattern in config.data.include)


def test_a_run_ends_at_its_deadline(kit: ModuleType, tmp_path: Path) -> None:
    progress = Progress(1, 2, {"pixel": 0.1}, 5.0, 1.0)
    kit.Listener(tmp_path, tmp_path, 1e9, None)(progress)
    with pytest.raises(KeyboardInterrupt):
        kit.Listener(tmp_path, tmp_path, 1e9, 0.0)(progress)
    assert kit.plan(900, 2.0)["optimizer.decay_start"] == "600" and kit.plan(900, 2.0)["loop.checkpoint_every"] == "120"
    assert not torch.cuda.is_available() or "TFLOP/s" in kit.speed(1.0)
