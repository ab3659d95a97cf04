"""Arrays through a network: tiles, precision fallbacks, self-ensemble, and blind noise estimation."""
