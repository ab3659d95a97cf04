"""Files <-> arrays without loss: `read` a picture, restore its normalized frames, `save` it in its own format.

    picture = read(path)
    picture.save(temporary, (f.encode(restore(f.normalized())) for f in map(picture.frame, range(picture.frames))))

Knows files, not networks: numpy arrays go in and out. One format a row of `CODECS`; the docstring of each codec's file says what is kept.
"""

from restore.images import naming
from restore.images.codecs import CODECS, COLOUR_SUFFIXES, SUFFIXES, TARGETS
from restore.images.errors import MAX_PIXELS, ImageError
from restore.images.file_kind import Look, check_no_picture, look, looked
from restore.images.frame import Frame
from restore.images.opening import read, sniff
from restore.images.picture import Picture

__all__ = [
    "CODECS",
    "COLOUR_SUFFIXES",
    "MAX_PIXELS",
    "SUFFIXES",
    "TARGETS",
    "Frame",
    "ImageError",
    "Look",
    "Picture",
    "check_no_picture",
    "look",
    "looked",
    "naming",
    "read",
    "sniff",
]
