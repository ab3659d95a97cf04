"""How a run runs: configuration, loop, checkpoints, previews. It knows no loss, no opponent and no dataset."""
