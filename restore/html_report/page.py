"""Writes a `Page` as one HTML file: no external resource, every text escaped, fewer than MOST_BYTES bytes."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Iterator, Sequence
from functools import cache, partial
from importlib.resources import files
from pathlib import Path

from restore.html_report import previews
from restore.html_report.escaping import escaped
from restore.html_report.histogram import histogram
from restore.html_report.model import Figure, Page, Row, Table
from restore.html_report.previews import Preview, View
from restore.parallel import PIXELS_IN_FLIGHT, PixelBudget, in_order
from restore.writing import atomic_write, reason

log = logging.getLogger(__name__)

MOST_BYTES = 19_000_000
"""Bytes of a page with its previews."""
FIGURE_BYTES, LEAST_FIGURE_BYTES = 1_500_000, 60_000
"""The most that one figure takes, and what it needs: by the latter, the bytes decide how many figures there are."""
MOST_ROWS = 5_000
BATCH = 4
"""Figures that are made at a time. It is fixed, so that the page does not depend on the machine."""


def write(path: Path, page: Page) -> list[str]:
    """Write the page atomically. The pictures are read one by one, and none is kept.

    Returns:
        A remark for each picture whose previews could not be made.

    Raises:
        OSError: the page cannot be written; the error names `path`.
    """
    remarks: list[str] = []
    with atomic_write(path) as draft, draft.open("w", encoding="utf-8") as file:
        for part in _parts(page, remarks):
            file.write(part)
    return remarks


def _parts(page: Page, remarks: list[str]) -> Iterator[str]:
    """The page in pieces, so that not all previews are in memory."""
    tail = "".join(_listing(listing.heading, listing.entries) for listing in page.listings) + _facts(page)
    tail += f"</main><script>{_resource('page.js')}</script></body></html>\n"
    room = MOST_BYTES - len(tail.encode()) - 100_000
    most = min(page.most_figures, max(1, (room - 300 * len(page.pictures.rows)) // LEAST_FIGURE_BYTES))
    shown = previews.chosen(len(page.figures), most, evenly=page.evenly)
    head = _head(page) + _overview(page, set(shown)) + f"<section><h2>Pictures</h2><p>{escaped(_count(page, shown))}</p>\n"
    yield head
    yield from _figures(page, shown, room - len(head.encode()), remarks)
    yield "</section>\n" + tail


def _figures(page: Page, shown: Sequence[int], remaining: int, remarks: list[str]) -> Iterator[str]:
    """The cards, in batches of BATCH: the figures of one share what is left of the bytes, and are made in threads."""
    budget = PixelBudget(PIXELS_IN_FLIGHT)
    setting = page.setting
    for start in range(0, len(shown), BATCH):
        share = min(FIGURE_BYTES, remaining // (len(shown) - start))
        make = partial(_try_card, page, share, max(page.setting, setting - 1), budget)
        for index, (card, used, problem) in zip(shown[start:], in_order(make, shown[start : start + BATCH], BATCH), strict=False):
            setting = used
            remarks += [problem] if problem else []
            if len(card) > remaining:
                card = _card(index, page.figures[index], "<p>No previews: the page would become too large.</p>")
            remaining -= len(card.encode())
            yield card


def _try_card(page: Page, share: int, setting: int, budget: PixelBudget, index: int) -> tuple[str, int, str]:
    """A figure's card, the used index in SETTINGS, and why there are no previews."""
    figure = page.figures[index]
    try:
        preview, used = previews.preview(figure, share, setting, budget)
        return _figure(index, figure, preview), used, ""
    except Exception as error:  # whatever a damaged file may raise
        log.debug("%s: no previews", figure.name, exc_info=True)
        problem = f"left out of the report because it cannot be shown: {figure.name}: {reason(error)}"
        return _card(index, figure, f"<p>It cannot be shown: {escaped(reason(error))}</p>"), setting, problem


@cache
def _resource(name: str) -> str:
    return (files("restore.html_report") / name).read_text(encoding="utf-8")


def _head(page: Page) -> str:
    script = base64.b64encode(hashlib.sha256(_resource("page.js").encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{script}'"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escaped(page.title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">\n'
        f'<link rel="icon" href="data:,"><style>{_resource("page.css")}</style></head><body><main>\n<h1>{escaped(page.title)}</h1>\n'
    )


def _overview(page: Page, shown: set[int]) -> str:
    charts = "".join(histogram(chart) for chart in page.charts)
    return (
        _table(page.summary, set(), sortable=False)
        + (f'<section><h2>Distribution</h2><div class="charts">{charts}</div></section>\n' if charts else "")
        + _table(page.pictures, shown, sortable=True)
    )


def _table(table: Table, shown: set[int], *, sortable: bool) -> str:
    heads = []
    for place, column in enumerate(table.columns):
        name = f"<span>{escaped(column.name)}</span>" + (f"<small>{escaped(column.note)}</small>" if column.note else "")
        inner = f'<button type="button">{name}</button>' if sortable else name
        state = ' aria-sort="none"' if sortable else ""
        heads.append(f'<th scope="col"{"" if column.numeric and place else " class=t"}{state}>{inner}</th>')
    rows = "".join(_row(table, row, shown) for row in table.rows[:MOST_ROWS])
    cut = f" (the first {MOST_ROWS:,} of {len(table.rows):,})" if len(table.rows) > MOST_ROWS else ""
    kind, fit = (' class="sortable"', "") if sortable else ("", " fit")
    name = escaped(table.caption)
    return (
        f"<section><h2>{name}{cut}</h2>"
        f'<div class="scroll{fit}" role="region" tabindex="0" aria-label="{name}"><table{kind}><thead><tr>{"".join(heads)}'
        f"</tr></thead><tbody>\n{rows}</tbody></table></div></section>\n"
    )


def _row(table: Table, row: Row, shown: set[int]) -> str:
    cells = []
    for place, (cell, column) in enumerate(zip(row.cells, table.columns, strict=True)):
        value = "" if cell.value is None else f' data-value="{cell.value!r}"'
        kind = ("t " if not column.numeric or not place else "") + ("m" if cell.marked else "")
        inner = escaped(cell.text)
        if not place:
            inner = f'<a href="#p{row.figure}"><bdi>{inner}</bdi></a>' if row.figure in shown else f"<bdi>{inner}</bdi>"
        cells.append(f"<td{f' class={kind.strip()!r}' if kind.strip() else ''}{value}>{inner}</td>")
    return f"<tr>{''.join(cells)}</tr>\n"


def _card(index: int, figure: Figure, inner: str) -> str:
    lines = "".join(f"<li>{escaped(line)}</li>" for line in figure.lines)
    return f'<article class="card" id="p{index}"><h3><bdi>{escaped(figure.name)}</bdi></h3><ul>{lines}</ul>{inner}</article>\n'


def _figure(index: int, figure: Figure, preview: Preview) -> str:
    height, width = preview.size
    frames = f", frame 1 of {preview.frames}" if preview.frames > 1 else ""
    reduced = "" if preview.whole.size == preview.size else f", reduced to {preview.whole.size[1]} x {preview.whole.size[0]}"
    parts = [_view(figure, preview, preview.whole, f"{width} x {height} pixels{reduced}{frames}", f"p{index}w")]
    if preview.crop:
        left, top, right, bottom = preview.box
        label = f"100 %: {right - left} x {bottom - top} pixels at ({left}, {top}), around the largest difference"
        parts.append(_view(figure, preview, preview.crop, label, f"p{index}c"))
    return _card(index, figure, "".join(parts))


def _view(figure: Figure, preview: Preview, view: View, label: str, key: str) -> str:
    height, width = view.size
    last = len(figure.layers) - 1
    layers = "".join(
        f'<img src="{uri}" alt="{escaped(f"{layer.label}: {figure.name}")}" width="{width}" height="{height}" draggable="false"'
        f' class="{"l" if place == 0 else "r" if place == last else ""}">'
        for place, (layer, uri) in enumerate(zip(figure.layers, view.layers, strict=True))
    )
    maps = "".join(_difference_map(figure, preview, view, place) for place, uri in enumerate(view.differences) if uri)
    return (
        f'<div class="view" style="--w:{max(width, 240)}px"><div class="comparison"><p>{escaped(label)}</p>'
        f'<div class="stage" style="aspect-ratio:{width}/{height}">{layers}<span class="handle" aria-hidden="true"></span>'
        f'<input type="range" min="0" max="100" value="50" aria-label="{escaped(f"Position of the divider, {figure.name}")}"></div>'
        f'<div class="sides">{_choice(figure, "left", 0, key)}{_choice(figure, "right", last, key)}</div></div>{maps}</div>'
    )


def _choice(figure: Figure, side: str, selected: int, key: str) -> str:
    """What a side of the slider shows: a text for two layers, a choice for more."""
    if len(figure.layers) == 2:
        return f'<span class="{side}">{escaped(figure.layers[selected].label)}</span>'
    options = "".join(
        f'<option value="{place}"{" selected" if place == selected else ""}>{escaped(layer.label)}</option>'
        for place, layer in enumerate(figure.layers)
    )
    return f'<label class="{side}" for="{key}{side}">{side} <select id="{key}{side}" data-side="{side[0]}">{options}</select></label>'


def _difference_map(figure: Figure, preview: Preview, view: View, place: int) -> str:
    height, width = view.size
    label = f"|{figure.layers[place].label} - {figure.layers[figure.base].label}|"
    return (
        f'<div class="map"><p>{escaped(label)}</p><img src="{view.differences[place]}" alt="{escaped(f"Difference map: {figure.name}")}"'
        f' width="{width}" height="{height}">'
        f'<div class="scale"><span>0</span><i></i><span>{round(preview.limit * 255)} of 255</span></div></div>'
    )


def _count(page: Page, shown: Sequence[int]) -> str:
    if not page.figures:
        return "There is no picture to show."
    return previews.describe(len(shown), len(page.figures), page.order, evenly=page.evenly) + (
        " Previews are reduced and lossy; no number on this page comes from them. The maps of one picture have one scale."
    )


def _listing(heading: str, entries: Sequence[tuple[str, str]]) -> str:
    if not entries:
        return ""
    rows = "".join(
        f"<tr><td class=t><bdi>{escaped(name)}</bdi></td><td class=t>{escaped(what)}</td></tr>\n" for name, what in entries[:MOST_ROWS]
    )
    more = f"<p>... and {len(entries) - MOST_ROWS:,} more.</p>" if len(entries) > MOST_ROWS else ""
    scroll = f'<div class="scroll" role="region" tabindex="0" aria-label="{escaped(heading)}">'
    return f"<section><h2>{escaped(heading)} ({len(entries):,})</h2>{scroll}<table><tbody>{rows}</tbody></table></div>{more}</section>\n"


def _facts(page: Page) -> str:
    facts = "".join(f"<dt>{escaped(name)}</dt><dd>{escaped(value)}</dd>" for name, value in page.facts)
    return f"<section><h2>{escaped(page.facts_heading)}</h2><dl>{facts}</dl></section>\n"
