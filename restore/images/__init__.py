"""Files <-> arrays without loss: `read` a picture, let a network see its frames, `save` it as it was.

    picture = read(path)
    picture.save(temporary, (f.encode(restore(f.normalized())) for f in map(picture.frame, range(picture.frames))))

Knows files, not networks: numpy arrays go in and out. One format family a file; each file's docstring says what is kept.
"""

from restore.images import naming
from restore.images.discovery import Look, look, looked
from restore.images.errors import MAX_PIXELS, ImageError
from restore.images.frame import Frame
from restore.images.opening import FORMATS, SUFFIXES, read, sniff
from restore.images.picture import Picture

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "SUFFIXES",
    "Frame",
    "ImageError",
    "Look",
    "Picture",
    "look",
    "looked",
    "naming",
    "read",
    "sniff",
]
