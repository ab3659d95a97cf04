"""JPEG XL."""
