"""Things that are made at their first use, by several threads safely, and made again in another process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Thing = TypeVar("Thing")


class LazyCache(Generic[Key, Thing]):
    """Makes a thing for each key at its first use, and keeps it. Pickled, it keeps nothing but how they are made.

    Args:
        make: key -> the thing.
    """

    def __init__(self, make: Callable[[Key], Thing]) -> None:
        self._make = make
        self._things: dict[Key, Thing] = {}
        self._lock = threading.Lock()

    def __call__(self, key: Key) -> Thing:
        """The thing for `key`."""
        with self._lock:
            if key not in self._things:
                self._things[key] = self._make(key)
            return self._things[key]

    def __reduce__(self) -> tuple[Any, ...]:
        return LazyCache, (self._make,)
