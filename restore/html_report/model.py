"""What a page shows. All texts are plain; `page.py` escapes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what it shows.
        value: what it is sorted by; None sorts by the text, and after all numbers.
        marked: whether it stands out, such as a difference whose interval excludes zero.
    """

    text: str
    value: float | None = None
    marked: bool = False


@dataclass(frozen=True)
class Column:
    """The head of a column.

    Attributes:
        name: its first line.
        note: its second line, in small letters.
        numeric: whether its cells are aligned to the right.
    """

    name: str
    note: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Row:
    """A row of a table; `figure` is the index of its figure in `Page.figures`, if it has one."""

    cells: tuple[Cell, ...]
    figure: int | None = None


@dataclass(frozen=True)
class Table:
    """A table; the first column has the names."""

    caption: str
    columns: tuple[Column, ...]
    rows: Sequence[Row]


@dataclass(frozen=True)
class Chart:
    """A histogram of one quantity: label -> values."""

    title: str
    unit: str
    series: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Listing:
    """Names with a text each, such as pictures that failed."""

    heading: str
    entries: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Layer:
    """One version of a picture."""

    label: str
    path: Path


@dataclass(frozen=True)
class Figure:
    """One picture to look at: the slider's left side starts with the first layer, its right side with the last.

    Attributes:
        name: the picture's name.
        lines: its scores or stats and warnings.
        layers: its versions, at least two.
        base: index of the layer that the others are compared with. It is upscaled where the others are larger.
    """

    name: str
    lines: tuple[str, ...]
    layers: tuple[Layer, ...]
    base: int


@dataclass(frozen=True)
class Page:
    """Everything that a page shows, from top to bottom.

    Attributes:
        title: the heading.
        summary: the first table.
        facts: (name, text), such as the protocol.
        charts: histograms.
        figures: the pictures that may get previews, in the order in which they are shown.
        order: says what that order is.
        most_figures: limit for the number of previews, besides that of the bytes.
        evenly: whether pictures are chosen evenly; else the first, the last and some between.
        setting: index in `previews.SETTINGS` of the largest previews.
        pictures: a sortable table with a row for each picture.
        listings: what could not be shown.
        facts_heading: heading of the facts.
    """

    title: str
    summary: Table
    facts: Sequence[tuple[str, str]]
    charts: Sequence[Chart]
    figures: Sequence[Figure]
    order: str
    most_figures: int
    pictures: Table
    listings: Sequence[Listing] = ()
    facts_heading: str = "Protocol"
    evenly: bool = False
    setting: int = 0
