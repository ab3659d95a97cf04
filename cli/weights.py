"""`restore weights`: lists, shows, checks, adds, blends and trims weights."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import SOME_FAILED, say
from .json_lines import JsonLines
from .printable import lines as text_lines
from .printable import printable

if TYPE_CHECKING:
    from restore.weights import Listed

app = typer.Typer(help="Manage trained weights: list, show, verify, add, blend, trim.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME|FILE", help="A name in the list, or a file.", show_default=False)]


@app.command("list")
def list_(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each weights file.")] = False,
) -> None:
    """List the weights that can be used by name, with their purpose, licence, size and file."""
    from restore import weights

    found = weights.listing()
    if not found:
        say("no weights found; train some with `restore train`, or add a file with `restore weights add`")
    entries = [_described(one) for one in found]
    if json:
        lines = JsonLines()
        for listed in entries:
            lines.write(listed)
        if lines.problem:
            say(lines.problem)
            raise typer.Exit(SOME_FAILED)
        return
    columns = ("name", "task", "for", "licence")
    usable = [listed for listed in entries if "problem" not in listed]
    widths = [max((len(printable(listed[column])) for listed in usable), default=0) for column in columns]
    for listed in entries:
        if "problem" in listed:
            typer.echo(f"{printable(listed['name'])}  cannot be used: {printable(listed['problem'])}")
            continue
        cells = [printable(listed[column]).ljust(width) for column, width in zip(columns, widths, strict=True)]
        by_path = "" if listed["by_name"] else "  (another file has this name: use this one by its path)"
        typer.echo("  ".join([*cells, _size(listed["bytes"]), printable(listed["file"])]) + by_path)


def _described(listed: Listed) -> dict[str, Any]:
    entry = listed.entry
    if entry is None:
        return {"name": listed.name, "file": str(listed.path), "problem": listed.problem}
    return {
        "name": entry.name, "task": entry.recipe["task"], "for": entry.purpose, "licence": entry.licence,
        "network": entry.recipe["network"], "bytes": entry.path.stat().st_size, "file": str(entry.path), "by_name": not listed.hidden,
    }  # fmt: skip


def _size(count: int) -> str:
    """Bytes as 7 characters and a unit."""
    return f"{count / 1e6:5.1f} MB" if count >= 1e6 else f"{count / 1e3:5.1f} KB"


@app.command()
def show(
    name: Name,
    json: Annotated[bool, typer.Option("--json", help="Print the whole recipe as one JSON object, without the card.")] = False,
) -> None:
    """Show the card and the recipe of weights: their purpose and their training."""
    from restore import weights

    entry = weights.find(name)
    if json:
        typer.echo(json_module.dumps(entry.recipe))
        return
    typer.echo(f"{printable(entry.name)}  ({printable(entry.path)})\n")
    if entry.card:
        typer.echo(text_lines(weights.card_text(entry.card)))
    typer.echo("recipe (all of it: --json):\n" + "\n".join(_summary(entry.recipe)))


def _summary(value: Any, depth: int = 1) -> list[str]:
    """The entries of a recipe, one a line; lists of objects as their number."""
    lines = []
    for key, entry in value.items():
        head = f"{'  ' * depth}{printable(key)}:"
        if isinstance(entry, dict) and entry:
            lines += [head, *_summary(entry, depth + 1)]
        elif isinstance(entry, list) and any(isinstance(one, dict) for one in entry):
            lines.append(f"{head} {len(entry)} entries")
        else:
            lines.append(f"{head} {printable(json_module.dumps(entry, ensure_ascii=False))}")
    return lines


@app.command()
def verify() -> None:
    """Check every weights file against its checksum and against the network that its recipe names."""
    from restore.api import verify_weights

    results = verify_weights()
    for listed, problem in results:
        typer.echo(f"{printable(listed.name)}: {printable(problem or 'fine')}")
    if any(problem for _, problem in results):
        raise typer.Exit(SOME_FAILED)


@app.command()
def add(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A weights file (safetensors), or a generator of CycleGAN's reference code (.pth).", show_default=False
        ),
    ],
    name: Annotated[str | None, typer.Option("--as", "--name", help="Name of the copy; default: the file's.")] = None,
) -> None:
    """Keep a copy of a weights file, to use it by name.

    restore weights add latest_net_G.pth --as horse2zebra
    """
    from restore.api import add_weights

    path = add_weights(file, name)
    typer.echo(printable(f"added {path.stem} ({path}); use it with --weights {path.stem}"))


@app.command()
def blend(
    first: Name,
    second: Name,
    name: Annotated[str, typer.Option("--as", "--name", help="Name of the blend.")],
    fraction: Annotated[float, typer.Option(help="0 gives the first, 1 the second.")] = 0.5,
) -> None:
    """Interpolate the weights of two networks, to balance sharp detail and fidelity. One must be trained from the other.

    restore weights blend upscale-x4 upscale-x4-photo --fraction 0.5 --as between
    """
    from restore import weights
    from restore.weights_blend import blend as blend_weights

    entry = blend_weights(weights.find(first), weights.find(second), fraction, name)
    typer.echo(printable(f"kept {entry.name} ({entry.path}); use it with --weights {entry.name}"))


@app.command("fetch-backbones")
def fetch_backbones(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="alexnet, vgg16, inception. [default: all]")] = None,
) -> None:
    """Download the ImageNet backbones of perceptual losses and metrics, once, into torch's cache. An interrupted download goes on.

    restore weights fetch-backbones alexnet vgg16
    """
    from restore.limits import nearest
    from restore.networks.backbone_files import BACKBONE_FILES

    for name in names or []:
        if name not in BACKBONE_FILES:
            raise ValueError(f"unknown backbone {name!r}: use {', '.join(BACKBONE_FILES)}{nearest(name, BACKBONE_FILES)}")
    problems = [problem for name in names or BACKBONE_FILES if (problem := _fetch_one(name))]
    for problem in problems:
        say(problem)
    if problems:
        raise typer.Exit(SOME_FAILED)


def _fetch_one(name: str) -> str | None:
    """Download one backbone with a progress bar; return the problem, if there is one."""
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    from restore.networks.backbone_files import BACKBONE_FILES, fetch

    console = Console(stderr=True)
    columns = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    # off a terminal, a bar that is removed leaves an empty line
    bar = Progress("{task.description}", *columns, console=console, transient=True, disable=not console.is_terminal)
    try:
        with bar:
            task = bar.add_task(name, total=None)
            path = fetch(name, lambda here, size: bar.update(task, completed=here, total=size))
    except OSError as error:
        return f"{name} could not be downloaded ({error}); run the command again where there is a network: it goes on where it stopped"
    except ValueError as error:
        return str(error)
    if path is None:
        say(f"{name}: not needed here; install 'restore-suite[metrics]' for {BACKBONE_FILES[name].used_for}")
    else:
        typer.echo(printable(f"{name}: {path} ({BACKBONE_FILES[name].used_for})"))
    return None


@app.command()
def trim(
    name: Name,
    base: Annotated[Path, typer.Option(help="The whole weights file that it was trained from.")],
    out: Annotated[Path, typer.Option(help="The new file, in the same folder as the base.")],
) -> None:
    """Store only the tensors that differ from those of another file, for weights that were trained in part (`trained`).

    restore weights trim runs/denoise-camera --base weights/denoise-color.safetensors --out weights/denoise-camera.safetensors
    """
    from restore import weights

    weights.save_difference(out, *weights.load(weights.find(name).path), base)
    typer.echo(printable(f"kept {out}, which needs {base.name} beside it"))
