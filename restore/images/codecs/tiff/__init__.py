"""TIFF and BigTIFF: directories, segments, stacks; patching a copy and writing a new file."""
