"""PNG: chunks, the pixel stream, texts."""
