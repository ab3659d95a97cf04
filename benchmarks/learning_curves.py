"""The course of trainings: scores of their validations over steps and hours of the device, from the runs' own logs.

    python benchmarks/learning_curves.py RUN... --out docs/images/learning-denoise.png [--names NAME,NAME...]

RUN is a run's folder, or its log.jsonl beside its config.toml. One row of panels for PSNR, and one for LPIPS where a run logged it; a run
without validations shows its loss, smoothed. Held-out crops and losses differ between recipes: compare runs of one recipe only. The hours
are steps by the crops per second that the log has, so time in which a run was stopped does not count.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from restore.training.charts import logged, smooth
from restore.training.journal import VALIDATION
from restore.writing import atomic_write

SCORES = {f"{VALIDATION}psnr": "PSNR, dB", f"{VALIDATION}lpips": "LPIPS"}
OTHERS = ("step", "images_per_second")
LARGEST = 60_000
"""Bytes of a drawing for the documentation."""


@dataclass(frozen=True)
class Course:
    """What a run logged.

    Attributes:
        name: for the legend.
        scores: by what they are called, (step, value) in order.
        hours: (step, hours so far) in order.
    """

    name: str
    scores: dict[str, list[tuple[int, float]]]
    hours: list[tuple[int, float]]

    def hours_at(self, step: int) -> float:
        """The device's hours until a step, between the lines of the log in proportion."""
        before, spent = 0, 0.0
        for following, total in self.hours:
            if step <= following:
                return spent + (total - spent) * (step - before) / max(1, following - before)
            before, spent = following, total
        return spent


def course(run: Path, name: str | None = None) -> Course:
    """Read a run's log.

    Raises:
        ValueError: there is none, or nothing in it.
    """
    folder = run.parent if run.name == "log.jsonl" else run
    rows, _ = logged(folder / "log.jsonl")
    if not rows:
        raise ValueError(f"{folder} holds no log.jsonl with steps")
    scores = {title: [(row["step"], row[key]) for row in rows if key in row] for key, title in SCORES.items()}
    scores = {title: points for title, points in scores.items() if points}
    if not scores:
        losses = [
            (row["step"], sum(value for key, value in row.items() if key not in OTHERS)) for row in rows if "images_per_second" in row
        ]
        means = smooth([value for _, value in losses])
        scores = {"loss": [(step, mean) for (step, _), mean in zip(losses, means, strict=True)]}
    config = tomllib.loads((folder / "config.toml").read_text()) if (folder / "config.toml").is_file() else {}
    batch = config.get("loop", {}).get("batch_size", 16)
    hours, before, spent = [], 0, 0.0
    for row in rows:
        if row.get("images_per_second", 0) > 0:
            spent += (row["step"] - before) * batch / row["images_per_second"] / 3600
            before = row["step"]
            hours.append((before, spent))
    return Course(name or folder.name, scores, hours)


def draw(courses: Sequence[Course], out: Path) -> None:
    """Draw the panels and write a PNG or an SVG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    titles = list(dict.fromkeys(title for one in courses for title in one.scores))
    figure = Figure(figsize=(8, 2.6 * len(titles)), layout="constrained")
    FigureCanvasAgg(figure)
    for number, title in enumerate(titles):
        for column, below in enumerate(("steps", "hours of the device")):
            axes = figure.add_subplot(len(titles), 2, 2 * number + column + 1)
            for one in courses:
                points = one.scores.get(title, [])
                places = [one.hours_at(step) if column else step for step, _ in points]
                if points:
                    axes.plot(places, [value for _, value in points], marker=".", linewidth=1.2, label=one.name)
            axes.set_xlabel(below, fontsize=8)
            axes.set_ylabel(title, fontsize=8)
            axes.tick_params(labelsize=7)
            axes.grid(alpha=0.3)
            if not column:
                axes.legend(fontsize=7)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as draft:
        figure.savefig(draft, dpi=90, format=out.suffix[1:])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True, help="a .png or .svg")
    parser.add_argument("--names", default="", help="for the legend, with commas; by default the folders'")
    options = parser.parse_args(arguments)
    names = options.names.split(",") if options.names else [None] * len(options.runs)
    draw([course(run, name) for run, name in zip(options.runs, names, strict=True)], options.out)
    size = options.out.stat().st_size
    print(f"{options.out}: {size} bytes" + (", too large for the documentation" if size > LARGEST else ""))


if __name__ == "__main__":
    main()
