"""Measures shipped weights by the commands that their cards name, and writes the tables between the cards' marks.

    python benchmarks/cards.py DATASETS [--weights NAME ...] [--check] [--cards FOLDER]

A card marks a table so, on lines of their own; between the marks stands what this program writes:

    <!-- figures: denoise.py --suites color --methods restore -->
    <!-- end of figures -->

The command is a benchmark of this folder with its options, without DATASETS; it runs as it stands. The table has one row for each thing
that was measured, and one column for each case. `--check` writes nothing, prints what differs and ends with 1. Published figures of others
belong outside the marks.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from restore.writing import atomic_write

HERE = Path(__file__).resolve().parent
BLOCK = re.compile(r"(<!-- figures: (?P<command>.+?) -->\n)(?P<table>.*?)(<!-- end of figures -->)", re.DOTALL)
Cells = dict[str, dict[str, str]]
"""Row -> column -> text."""
NUMBER = r"([-+]?\d+\.\d+)"


def denoise(output: str) -> Cells:
    """The cells of `denoise.py`: PSNR; a row is a set, protocol and method, a column a noise level."""
    cells: Cells = {}
    line = re.compile(rf"^(\S.*?) +(float|8-bit|xray) +(\S.*?) +{NUMBER} dB  SSIM {NUMBER}(?:  LPIPS {NUMBER})?.* n=(\d+)$", re.MULTILINE)
    for case, protocol, method, decibel, _, distance, count in line.findall(output):
        found = re.match(r"(.*?) (sigma \d+|\d+ counts)$", case)
        name, level = found.groups() if found else (case, "PSNR, dB")
        row = cells.setdefault(f"{name} ({count}), {protocol}: {method}", {})
        row[level] = decibel
        if distance:
            row[f"LPIPS{', ' + level if found else ''}"] = distance
    return cells


def upscale(output: str) -> Cells:
    """The cells of `upscale.py`: PSNR, SSIM and where measured LPIPS; a row is a method, a column a set."""
    cells: Cells = {}
    name = ""
    for line in output.splitlines():
        if found := re.match(r"(\S+) x\d self-test", line):
            name = found[1]
        elif found := re.match(rf"  (\S.*?) +{NUMBER} dB  SSIM {NUMBER}  LPIPS +({NUMBER}|nan) .*n=(\d+)$", line):
            distance = "" if found[4] == "nan" else f" / {found[4]}"
            cells.setdefault(found[1], {})[f"{name} ({found[6]})"] = f"{found[2]} / {found[3]}{distance}"
    return cells


def artifacts(output: str) -> Cells:
    """The cells of `artifacts.py`: a row is a suite and its qualities."""
    line = re.compile(rf"^(\S+) +(q.*?) +JPEG +{NUMBER}  restored +{NUMBER}  gain +{NUMBER} \(least +{NUMBER}\)  n=(\d+)$", re.MULTILINE)
    return {
        f"{suite} ({count}), {case}": {"JPEG, dB": before, "restored": after, "gain": gain, "least gain": least}
        for suite, case, before, after, gain, least, count in line.findall(output)
    }


def sharpen(output: str) -> Cells:
    """The cells of `sharpen.py`: a row is a blur's width in pixels, a column a method."""
    cells: Cells = {}
    for width, noise, row, count in re.findall(r"^width (\S+) noise (\S+)  (.*)  n=(\d+)$", output, re.MULTILINE):
        cells[f"blur {width}, noise {noise} ({count})"] = {name.strip(): value for name, value in re.findall(rf"(\S.*?) +{NUMBER}", row)}
    return cells


PARSERS: Mapping[str, Callable[[str], Cells]] = {
    "denoise.py": denoise,
    "upscale.py": upscale,
    "artifacts.py": artifacts,
    "sharpen.py": sharpen,
}
"""What reads the output of each benchmark."""


def table(cells: Cells) -> str:
    """A table in Markdown."""
    columns = list(dict.fromkeys(column for row in cells.values() for column in row))
    lines = [
        ["", *columns],
        ["---"] * (len(columns) + 1),
        *([name, *(row.get(column, "") for column in columns)] for name, row in cells.items()),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def measure(command: str, datasets: Path) -> str:
    """Run a card's command and return its table.

    Raises:
        ValueError: it names no benchmark that is known here, it failed, or it printed no figures.
    """
    name, *options = shlex.split(command)
    if name not in PARSERS:
        raise ValueError(f"{name} is none of {', '.join(PARSERS)}")
    made = subprocess.run([sys.executable, str(HERE / name), str(datasets), *options], capture_output=True, text=True, check=False)
    if made.returncode:
        raise ValueError(f"{command} failed: {made.stderr.strip().splitlines()[-1:]}")
    cells = PARSERS[name](made.stdout)
    if not cells:
        raise ValueError(f"{command} printed no figures:\n{made.stdout[-500:]}")
    return table(cells)


def renewed(text: str, datasets: Path, run: Callable[[str, Path], str] = measure) -> str:
    """A card with every marked table measured anew."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{run(found['command'], datasets)}\n{found[4]}", text)


def differences(old: str, new: str) -> list[str]:
    """The lines of the new text that the old one lacks."""
    known = set(old.splitlines())
    return [line for line in new.splitlines() if line not in known]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--weights", nargs="+", default=None, help="names; by default all whose cards have marks")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--cards", type=Path, default=HERE.parent / "weights")
    options = parser.parse_args(arguments)
    cards = [path for path in sorted(options.cards.glob("*.md")) if BLOCK.search(path.read_text(encoding="utf-8"))]
    if options.weights:
        cards = [options.cards / f"{name}.md" for name in options.weights]
    changed = False
    for card in cards:
        old = card.read_text(encoding="utf-8")
        if not BLOCK.search(old):
            parser.error(f"{card} has no marks")
        new = renewed(old, options.datasets)
        lines = differences(old, new)
        changed = changed or bool(lines)
        print(f"{card.stem}: {len(lines)} lines differ", *(f"  {line}" for line in lines), sep="\n", flush=True)
        if not options.check:
            with atomic_write(card) as draft:
                draft.write_text(new, encoding="utf-8")
    if options.check and changed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
