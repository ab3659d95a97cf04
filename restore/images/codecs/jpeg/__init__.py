"""JPEG: segments, the codestream, writing any sampling; and what JPEG 2000 codestreams claim."""
