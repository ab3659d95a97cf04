"""Plain text as HTML."""

from __future__ import annotations

import html


def escaped(text: str) -> str:
    """Plain text -> HTML. Control and direction characters and undecodable bytes are shown as escapes."""
    visible = "".join(char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii") for char in text)
    return html.escape(visible, quote=True)
