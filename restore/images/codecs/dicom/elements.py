"""Numbers in DICOM elements, and the scale by which those that are counted in pixels grow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import DSfloat

_FLOAT = ("DS", "FD", "FL")


@dataclass(frozen=True)
class Scale:
    """How many times as many rows and columns there are."""

    rows: float
    columns: float

    def of(self, axis: int) -> float:
        """The factor of rows (0) or columns (1)."""
        return self.columns if axis else self.rows


def set_numbers(element: DataElement, values: list[float]) -> None:
    """Replace the value or values of an element, rounded where it holds whole numbers."""
    if element.VR == "DS":
        new: list[float] = [DSfloat(value, auto_format=True) for value in values]
    else:
        new = values if element.VR in _FLOAT else [to_integer(value, element.VR) for value in values]
    element.value = new if len(new) > 1 else new[0]


def to_integer(value: float, vr: str) -> int:
    """The nearest whole number (half up) that the representation can hold."""
    low, high = {"US": (0, 65535), "SS": (-32768, 32767), "UL": (0, 2**32 - 1)}.get(vr, (-(2**31), 2**31 - 1))
    return min(max(math.floor(value + 0.5), low), high)


def numbers(part: Dataset, keyword: str) -> list[float]:
    """The numbers of an element, none if it is missing or empty."""
    if keyword not in part:
        return []
    element = part[keyword]
    if element.value is None or element.value == "" or element.VM == 0:
        return []
    return [float(value) for value in (element.value if element.VM > 1 else [element.value])]


def scaled(part: Dataset, keyword: str, *factors: float, origin: float = 0.0) -> None:
    """Multiply the numbers of an element by the factors in turn, relative to a fixed origin."""
    values = numbers(part, keyword)
    if values:
        new = [(value - origin) * factors[at % len(factors)] + origin for at, value in enumerate(values)]
        set_numbers(part[keyword], new)


def moved(part: Dataset, keyword: str, shift: np.ndarray) -> None:
    """Add as many of the shift's numbers as an element has."""
    values = numbers(part, keyword)
    if values:
        set_numbers(part[keyword], [value + float(by) for value, by in zip(values, shift, strict=False)])
