"""Makes text from files safe to print: it cannot move the cursor, change the writing direction or start a new line."""

from __future__ import annotations


def printable(text: object) -> str:
    """`text` on one line: line ends, control and direction characters and undecodable bytes escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii") for char in str(text))


def lines(text: object) -> str:
    """`printable` for a text whose line ends and tabs are kept, such as a card."""
    return "\n".join(printable(line.expandtabs()) for line in str(text).split("\n"))
