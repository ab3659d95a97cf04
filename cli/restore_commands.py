"""The commands that restore pictures: one for each task, generated from its options; `restore run` and `restore old-photo` for several."""

from __future__ import annotations

import dataclasses
import inspect
import math
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from restore.pipeline.options import OptionHelp, Options, help_of, kinds, read
from restore.tasks import TASKS, Task
from restore.tasks.options import CONTENT, CONTENTS

from .common import Common, Inputs, choice, restore_pictures, with_common


def command(name: str, task: Task) -> Callable[..., None]:
    """The command of a task."""

    def restore(inputs: Any, common: Common, **options: Any) -> None:
        checked = _checked(task.options, name, options)
        restore_pictures(name, inputs, checked, common)

    parameters = [inspect.Parameter("inputs", inspect.Parameter.KEYWORD_ONLY, annotation=Inputs)]
    hints = typing.get_type_hints(task.options)
    for entry in dataclasses.fields(task.options):
        kind, option = _flag(entry.name, hints[entry.name], entry.default, help_of(entry))
        parameters.append(
            inspect.Parameter(entry.name, inspect.Parameter.KEYWORD_ONLY, default=entry.default, annotation=Annotated[kind, option])
        )
    restore.__name__, restore.__doc__ = name, f"{task.summary}\n\n{task.help}"
    restore.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # inspect looks for it
    return with_common(restore)


def run(
    pipeline: Annotated[
        Path,
        typer.Argument(
            metavar="PIPELINE", help="old-photo, xray, phone, or a TOML file with a [[step]] table for each step.", show_default=False
        ),
    ],
    inputs: Inputs,
    *,
    common: Common,
) -> None:
    """Restore pictures with several steps: one decode, one encode, float32 between the steps.

    restore run xray scans/ --out shown/

    restore run pipeline.toml prints/ --out restored/
    """
    from restore.tasks import pipelines

    path = pipelines.find(pipeline)
    pipelines.tables(path)  # report errors in the file before importing torch
    restore_pictures(path, inputs, None, common)


def old_photo(  # noqa: PLR0913  # one for each flag, all with a default
    inputs: Inputs,
    *,
    scratches: Annotated[bool, typer.Option("--scratches/--no-scratches", help="Find and fill scratches and dust.")] = True,
    sensitivity: Annotated[
        float | None, typer.Option(min=0, max=1, help="Higher finds more scratches, and more that are none.", show_default=False)
    ] = None,
    save_masks: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write what was taken for scratches.", show_default=False)
    ] = None,
    content: Annotated[
        str | None, typer.Option(metavar="|".join(CONTENTS), help=CONTENT, show_default=False, callback=choice(*CONTENTS))
    ] = None,
    colorize: Annotated[bool, typer.Option("--colorize", help="Also colour gray pictures.")] = False,
    upscale: Annotated[
        float | None, typer.Option(metavar="1.01..4", min=1.01, max=4, help="Also upscale them.", show_default=False)
    ] = None,
    common: Common,
) -> None:
    """Restore old photographs: traces of JPEG, scratches and dust, grain and noise, fading.

    The steps are those of the pipeline that ships: `restore run old-photo` is the same without the flags.

    restore old-photo prints/ --out restored/ --colorize --upscale 2
    """
    from restore.tasks import pipelines

    shows = {} if content is None else {"content": content}
    more: list[dict[str, object]] = [{"task": "colorize", **shows}] if colorize else []
    more += [{"task": "upscale", "scale": upscale}] if upscale else []
    given: dict[str, object] = {"sensitivity": sensitivity, "save_masks": None if save_masks is None else str(save_masks)}
    found = {name: value for name, value in given.items() if value is not None}
    if found and not scratches:
        raise typer.BadParameter("--sensitivity and --save-masks are about scratches: leave --no-scratches out")
    changes: dict[str, dict[str, object] | None] = {"inpaint": found if scratches else None}
    changes |= {task: {**shows} for task in ("denoise", "enhance") if shows}
    restore_pictures(pipelines.find("old-photo"), inputs, None, common, changes=changes, more=more)


def _checked(options: type[Options], task: str, values: Mapping[str, Any]) -> Options:
    try:
        return options.of(values, task)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _flag(name: str, hint: Any, default: Any, about: OptionHelp) -> tuple[Any, Any]:
    """The type of an option on the command line, and its declaration."""
    allowed = kinds(hint)
    flag = "--" + name.replace("_", "-")
    if bool in allowed:
        return bool, typer.Option(f"{flag}/--no-{flag[2:]}" if default else flag, help=about.text)
    kind = next(one for one in (Path, int, float, str) if one in allowed)
    low = high = None
    if about.words or about.choices or about.above:
        kind = str
    elif kind in (int, float):
        low, high = (None if math.isinf(end) else end for end in (about.low, about.high))

    def check(value: Any) -> Any:
        if value is None:
            return None
        try:
            return read(name, value, hint, about)
        except ValueError as error:
            raise typer.BadParameter(str(error).removeprefix(f"{name} ")) from error

    return (kind | None if default is None else kind), typer.Option(
        flag, metavar=about.metavar or None, help=about.text, show_default=default is not None, callback=check, min=low, max=high
    )


def add_to(app: typer.Typer) -> None:
    """Add a command for each task, and `run`."""
    for name, task in TASKS.items():
        app.command(name)(command(name, task))
    # a pipeline's steps have weights of their own
    app.command("run")(with_common(run, without=("weights",)))
    app.command("old-photo")(with_common(old_photo, without=("weights",)))
