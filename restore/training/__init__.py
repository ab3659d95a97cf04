"""How a run runs: train states, optimizers, the supervised trainer, the loop, checkpoints, previews. Nothing here is adversarial."""
