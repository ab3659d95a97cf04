"""Writes the map of a picture's exposure and contrast as a .cube file, which editors and video tools read.

Adobe 2013, "Cube LUT specification 1.0": one line a node, red changing fastest.
"""

from __future__ import annotations

import numpy as np

from restore.inference.enhancer import GlobalMap

SIDE = 33
"""Nodes of a 3-D table along each colour."""
LENGTH = 1024
"""Entries of a gray picture's table."""


def cube(mapping: GlobalMap, *, gray: bool, title: str, comment: str = "") -> str:
    """The text of a .cube file: a 3-D table, or a 1-D one for a gray picture; with one line of comment, if it is given.

    Values beyond [0, 1] stay: cut off at a node, they would bend the curve up to the next one.
    """
    if gray:
        nodes = np.linspace(0, 1, LENGTH, dtype=np.float32)[:, None, None]
        rows = np.repeat(mapping(nodes)[:, 0], 3, axis=1)
        size = f"LUT_1D_SIZE {LENGTH}"
    else:
        axis = np.linspace(0, 1, SIDE, dtype=np.float32)
        blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
        rows = mapping(np.stack([red, green, blue], axis=3).reshape(SIDE * SIDE, SIDE, 3)).reshape(-1, 3)
        size = f"LUT_3D_SIZE {SIDE}"
    lines = [" ".join(f"{value:.6f}" for value in row) for row in rows]
    quoted = "".join(char for char in title if char.isprintable() and char.isascii() and char != '"')
    comments = [f"# {comment}"] if comment else []
    return "\n".join([f'TITLE "{quoted[:200]}"', *comments, size, *lines]) + "\n"
