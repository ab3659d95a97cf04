"""Reading numbers of any width from bytes."""

from __future__ import annotations


class HighBits:
    """Bits of bytes, the highest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._number, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        """The next bits as a number; ValueError where they end."""
        if count > self._left:
            raise ValueError("its header breaks off")
        self._left -= count
        return (self._number >> self._left) & ((1 << count) - 1)


class LowBits:
    """Bits of bytes, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._number, self._end, self.position = int.from_bytes(data, "little"), 8 * len(data), 0

    def take(self, count: int) -> int:
        """The next bits as a number; ValueError where they end."""
        if self.position + count > self._end:
            raise ValueError("its header breaks off")
        self.position += count
        return (self._number >> (self.position - count)) & ((1 << count) - 1)
