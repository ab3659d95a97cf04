"""The recipes of CONTRIBUTING.md, followed in a copy of the tree: a network, a task, a format and a GAN are added and used."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from restore import weights
from restore.images import read

ROOT = Path(__file__).resolve().parents[1]
RECIPES = Path(__file__).parent / "recipes"
SMALL = [
    "--steps",
    "2",
    "--device",
    "cpu",
    "--precision",
    "fp32",
    "--quiet",
    "--set",
    "data.crop=32",
    "--set",
    "loop.batch_size=1",
]

UNSHARP_OPTIONS = '''

@dataclass(frozen=True)
class UnsharpOptions(Options):
    """The options of `restore unsharp`."""

    amount: float = option(0.5, "How much of the detail to add.", metavar="0..4", low=0, high=4)
    radius: float = option(1.5, "Standard deviation of the blur that detail is measured against.", metavar="PIXELS", low=0.1, high=64)
'''

PAIRED_OBJECTIVE = '''
def paired_discriminator(real: Tensor, fake: Tensor, real_label: float = 1.0) -> Tensor:
    """Jolicoeur-Martineau 2018, eq. 7, with Huang et al. 2024's f (R3GAN, eq. 2): E softplus(D(G(z)) - D(x)), pair by pair."""
    return F.softplus(fake.float() - real.float()).mean()


def paired_generator(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's with real and fake swapped."""
    return paired_discriminator(fake, real)


'''


def _after(path: Path, line: str, added: str) -> None:
    """Write `added` behind a line that the file has once."""
    text = path.read_text(encoding="utf-8")
    assert text.count(f"\n{line}\n") == 1, f"{path.name}: {line}"
    path.write_text(text.replace(f"\n{line}\n", f"\n{line}\n{added}\n"), encoding="utf-8")


def _add_network(restore: Path) -> None:
    shutil.copy(RECIPES / "dncnn.py", restore / "networks")
    table = restore / "networks" / "__init__.py"
    _after(table, "from restore.networks import meta_device", "from restore.networks.dncnn import DnCNN, DnCNNConfig")
    _after(
        table,
        '    "inpainter": Architecture(InpainterConfig, InpainterNet),',
        '    "dncnn": Architecture(DnCNNConfig, DnCNN),',
    )


def _add_task(restore: Path) -> None:
    shutil.copy(RECIPES / "unsharp.py", restore / "tasks")
    options = restore / "tasks" / "options.py"
    options.write_text(options.read_text() + UNSHARP_OPTIONS)
    table = restore / "tasks" / "__init__.py"
    _after(table, "from restore.pipeline.options import Options", "from restore.tasks.options import UnsharpOptions")
    row = 'Task("Sharpen pictures by an unsharp mask.", UnsharpOptions, "restore.tasks.unsharp:Unsharp", "restore unsharp in/ --out out/"),'
    _after(table, "TASKS: Mapping[str, Task] = {", f'    "unsharp": {row}')


def _add_format(restore: Path) -> None:
    shutil.copy(RECIPES / "farbfeld.py", restore / "images" / "codecs")
    table = restore / "images" / "codecs" / "__init__.py"
    _after(
        table,
        "from restore.images.codecs.pnm import PnmCodec",
        "from restore.images.codecs.farbfeld import FarbfeldCodec",
    )
    _after(table, "        PnmCodec(),", "        FarbfeldCodec(),")


def _add_gan(restore: Path) -> None:
    shutil.copy(RECIPES / "simgan.py", restore / "gan")
    shutil.copy(RECIPES / "simgan_training.py", restore / "tasks")
    objectives = restore / "gan" / "objectives.py"
    text = objectives.read_text(encoding="utf-8")
    objectives.write_text(text.replace("\n\nOBJECTIVES:", f"\n{PAIRED_OBJECTIVE}OBJECTIVES:"), encoding="utf-8")
    pair = "paired_discriminator, paired_generator, relative=True, has_labels=False"
    _after(objectives, "OBJECTIVES: Mapping[str, Objective] = {", f'    "paired": Objective({pair}),')
    table = restore / "tasks" / "training_methods.py"
    _after(
        table,
        "from restore.tasks.prepared_run import Prepared",
        "from restore.tasks.simgan_training import SimGANConfig, simgan",
    )
    row = 'Method("refining, from two domains of pictures", SimGANConfig, simgan, "translate", "generator"),'
    _after(table, "METHODS: Mapping[str, Method[Any]] = {", f'    "simgan": {row}')


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages in which every recipe was followed."""
    folder = tmp_path_factory.mktemp("tree")
    for source, name in (("restore", "restore"), ("cli", "restore_cli")):
        shutil.copytree(ROOT / source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for add in (_add_network, _add_task, _add_format, _add_gan):
        add(folder / "restore")
    return folder


Run = Callable[..., str]


@pytest.fixture
def run(tree: Path, tmp_path: Path) -> Run:
    """Runs commands of the copied tree in one process, as a user types them; returns what they wrote."""

    def run(*commands: list[Any]) -> str:
        code = (
            "import ast, sys, restore, restore_cli\n"
            "assert restore.__file__.startswith(sys.argv[1]) and restore_cli.__file__.startswith(sys.argv[1])\n"
            "for command in ast.literal_eval(sys.argv[2]):\n"
            "    try: restore_cli.main(command)\n"
            "    except SystemExit as end:\n"
            "        if end.code: raise\n"
        )
        typed = repr([[str(word) for word in command] for command in commands])
        variables = {
            **os.environ,
            "PYTHONPATH": str(tree),
            "RESTORE_WEIGHTS": str(tmp_path / "weights"),
            "COLUMNS": "200",
        }
        done = subprocess.run(
            [sys.executable, "-c", code, str(tree), typed],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_a_network(run: Run, photos: Callable[..., Path], tmp_path: Path) -> None:
    """It is trained by a method that does not know it, and denoises."""
    pictures = photos(tmp_path / "photos")
    own = [word for setting in ("network.name=dncnn", "network.width=4", "network.depth=3") for word in ("--set", setting)]
    run(
        ["train", "denoise", pictures, "--out", "runs/own", *SMALL, *own],
        ["denoise", pictures, "--out", "clean", "--weights", "runs/own", "--device", "cpu", "--precision", "fp32"],
    )
    recipe = weights.find(str(tmp_path / "runs" / "own")).recipe
    assert (recipe["network"], recipe["settings"]["depth"], recipe["steps"]) == ("dncnn", 3, 2)
    before, after = (np.asarray(Image.open(folder / "0.png")) for folder in (pictures, tmp_path / "clean"))
    assert before.shape == after.shape and (before != after).any()


def test_a_task_and_a_format(run: Run, photos: Callable[..., Path], tmp_path: Path) -> None:
    """The task's command is there with its help, and gives what its step computes; its results can have the new format."""
    pictures = photos(tmp_path / "photos", channels=3)
    said = run(
        ["unsharp", "--help"],
        ["unsharp", pictures, "--out", "sharp", "--amount", "0"],
        ["unsharp", pictures, "--out", "other", "--amount", "2", "--format", "farbfeld"],
        ["unsharp", "other/0.ff", "--out", "back", "--amount", "0", "--format", "png"],
    )
    assert "Sharpen pictures by an unsharp mask." in said and "--radius" in said and "How much of the detail to add." in said
    before = np.asarray(Image.open(pictures / "0.png"))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "sharp" / "0.png")), before)
    data = (tmp_path / "other" / "0.ff").read_bytes()
    sharpened = np.frombuffer(data[16:], ">u2").reshape(*before.shape[:2], 4)
    assert data[:8] == b"farbfeld" and (sharpened[..., 3] == 65535).all()
    changed = sharpened[..., :3].astype(float) / 257 - before
    assert 0.5 < np.abs(changed).mean() < 30
    assert np.array_equal(read(tmp_path / "back" / "0.png").frame(0).stored, sharpened)


def test_a_gan(run: Run, photos: Callable[..., Path], tmp_path: Path) -> None:
    """It is trained with an objective that is new too, resumed, and translates."""
    for part in ("source", "target"):
        photos(tmp_path / "domains" / part, channels=3)
    tiny = [
        "discriminator.objective=paired",
        "generator.width=4",
        "generator.blocks=1",
        "discriminator.width=4",
        "data.sides=32,40",
        "loop.checkpoint_every=1",
    ]
    own = [word for setting in tiny for word in ("--set", setting)]
    run(
        ["train", "simgan", "domains", "--out", "runs/refiner", *SMALL, *own],
        ["train", "simgan", "domains", "--out", "runs/refiner", *SMALL, *own, "--steps", "3", "--resume"],
        [
            "translate",
            "domains/source",
            "--out",
            "refined",
            "--weights",
            "runs/refiner",
            "--device",
            "cpu",
            "--precision",
            "fp32",
        ],
    )
    log = (tmp_path / "runs" / "refiner" / "log.jsonl").read_text()
    assert "self-regularization" in log and "adversarial" in log and "discriminator" in log
    recipe = weights.find(str(tmp_path / "runs" / "refiner")).recipe
    assert (recipe["task"], recipe["method"], recipe["steps"]) == ("translate", "simgan", 3)
    assert recipe["training"]["discriminator"]["objective"] == "paired"
    before, after = (np.asarray(Image.open(folder / "0.png")) for folder in (tmp_path / "domains" / "source", tmp_path / "refined"))
    assert before.shape == after.shape and (before != after).any()


def test_the_recipes_are_described() -> None:
    """What CONTRIBUTING.md calls a recipe is followed here, and names every file that is."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for title in ("network", "task", "format", "GAN"):
        assert f"## Add a {title}\n" in text
    for named in (
        "networks/__init__.py",
        "tasks/options.py",
        "tasks/__init__.py",
        "codecs/__init__.py",
        "gan/objectives.py",
        "tasks/training_methods.py",
    ):
        assert named in text
