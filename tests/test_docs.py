"""Every command line of docs/ runs as it stands, in a folder that holds nothing but data/."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path
from typing import get_type_hints

import pytest
from PIL import Image
from restore_cli import app
from restore_cli.common import Common
from typer.testing import CliRunner

from restore.pipeline.options import table
from restore.tasks import TASKS

INTRODUCTION = """# Options

Made from the options' dataclasses by `python tests/test_docs.py`; do not edit. From Python and in a pipeline's file, names have
underscores: `options={"noise_level": 12}`.
"""
ROOT = Path(__file__).resolve().parents[1]
SIDE = 256
"""Pixels of the pictures' sides, as many as a training's crops need by default."""
PAGES = sorted((ROOT / "docs").glob("*.md"))


def commands(page: Path) -> list[str]:
    """The indented lines of a page that call restore."""
    return re.findall(r"^    (restore .+?)(?:  +#.*)?$", page.read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.stem)
def test_the_commands_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page.stem == "export":
        pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    # the middle of a few pictures: the commands are what is tested, not the machine
    for folder in ("xray/low-dose", "xray/chest", "photo2paint/source", "photo2paint/target"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for path in sorted((ROOT / "data" / folder).iterdir())[:2]:
            with Image.open(path) as picture:
                left, top = ((length - SIDE) // 2 for length in picture.size)
                picture.crop((left, top, left + SIDE, top + SIDE)).save(tmp_path / "data" / folder / path.name)
    for text in re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        (tmp_path / "pipeline.toml").write_text(text)
    for command in commands(page):
        result = CliRunner().invoke(app, shlex.split(command)[1:])
        assert result.exit_code == 0, f"{command}\n{result.output}\n{result.exception}"


def test_the_pages_name_commands() -> None:
    assert sum(len(commands(page)) for page in PAGES) >= 5


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def options_page() -> str:
    """The options of every task, and those that all picture commands share, as Markdown."""
    pages = [f"## restore {name}\n\n{row.summary}\n\n{table(row.options)}" for name, row in TASKS.items()]
    hints = get_type_hints(Common, include_extras=True)
    lines = ["| option | default | meaning |", "|---|---|---|"]
    for entry in dataclasses.fields(Common):
        about = hints[entry.name].__metadata__[0]
        flag = f"--{entry.name.replace('_', '-')}" + (f" {about.metavar}" if about.metavar else "")
        default = "" if entry.default in (None, dataclasses.MISSING) else str(entry.default).lower()
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in (f"`{flag}`", default, about.help)) + " |")
    return "\n\n".join([INTRODUCTION.rstrip(), *pages, "## All of these commands\n\n" + "\n".join(lines)]) + "\n"


def test_the_page_of_options_is_what_the_options_say() -> None:
    assert (ROOT / "docs/options.md").read_text() == options_page(), "run: python tests/test_docs.py"


if __name__ == "__main__":
    (ROOT / "docs/options.md").write_text(options_page())
