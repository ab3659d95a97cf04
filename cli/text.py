"""Text from files on a terminal: nothing in it may move the cursor, turn the writing about or begin another line."""

from __future__ import annotations

from typing import Any


def printable(text: Any) -> str:
    """`text` on one line: line ends, control and direction characters and undecodable bytes escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in str(text)
    )


def lines(text: Any) -> str:
    """The same of a text whose line ends and tabs are meant, such as a card."""
    return "\n".join(printable(line.expandtabs()) for line in str(text).split("\n"))
