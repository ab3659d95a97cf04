"""HEIC and HEIF."""
