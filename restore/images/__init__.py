"""Files <-> arrays without loss: `read` a picture, let a network see its frames, `save` it as it was.

    picture = read(path)
    picture.save(temporary, (f.back(restore(f.shown())) for f in map(picture.frame, range(picture.frames))))

Knows files, not networks: numpy arrays go in and out. One format family a file; each file's docstring says what is kept.
"""

from restore.images.errors import MAX_PIXELS, ImageError
from restore.images.frame import Frame
from restore.images.opening import FORMATS, SUFFIXES, by_name, is_dicom, read, sniff
from restore.images.picture import Picture

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "SUFFIXES",
    "Frame",
    "ImageError",
    "Picture",
    "by_name",
    "is_dicom",
    "read",
    "sniff",
]
