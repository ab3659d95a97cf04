"""How a trained network is used: the Restorer and its tiles, blind noise estimation, batches over folders."""
