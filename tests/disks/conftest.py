"""A disk that fails on demand, for every kind of output."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "pipeline"))

from faulty_disk import FaultyDisk


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyDisk]:
    """The file system of this process, without faults until calls are set to fail."""
    yield FaultyDisk(monkeypatch)
