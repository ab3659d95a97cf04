"""AVIF."""
