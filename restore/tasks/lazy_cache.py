"""A thread-safe cache whose values are made at their first use. It can be pickled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LazyCache(Generic[Key, Value]):
    """Makes the value of each key at its first use and keeps it. A pickled cache holds no values, so the copy makes them again.

    Args:
        make: key -> the value.
    """

    def __init__(self, make: Callable[[Key], Value]) -> None:
        self._make = make
        self._values: dict[Key, Value] = {}
        self._lock = threading.Lock()

    def __call__(self, key: Key) -> Value:
        """The value for `key`."""
        with self._lock:
            if key not in self._values:
                self._values[key] = self._make(key)
            return self._values[key]

    def __reduce__(self) -> tuple[object, ...]:
        return LazyCache, (self._make,)
