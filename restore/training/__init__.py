"""How a run runs: configuration, loop, checkpoints, previews, and the supervised trainer. It knows no opponent and no dataset."""
