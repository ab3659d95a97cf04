"""A training run for `test_together`: started once, or by torchrun as one of several processes; leaves what this process holds.

python train_together.py METHOD DATASET OUT STEPS
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch

from restore import distributed
from restore.tasks import train_run
from restore.tasks.prepared_run import Prepared
from restore.tasks.training_methods import METHODS

COMMON = {
    "device": "cpu", "precision": "fp32", "loop.batch_size": "4", "loop.log_every": "1", "loop.checkpoint_every": "2", "monitor.every": "2",
}  # fmt: skip
OWN = {
    "cyclegan": {"generator.width": "4", "generator.blocks": "1", "data.crop": "32", "data.sides": "32,40", "discriminator.width": "4"},
    "pix2pix": {"generator.width": "4", "generator.levels": "3", "generator.dropout": "0", "data.crop": "32", "data.sides": "32,40",
                "discriminator.width": "4"},
    "denoise": {"network.widths": "4,8", "network.blocks": "1,1", "data.crop": "32", "losses.adversarial_weight": "0.01",
                "discriminator.optimizer.beta1": "0.5", "discriminator.width": "4"},
    "r3gan": {"generator.width": "4", "generator.widest": "8", "discriminator_network.width": "4", "discriminator_network.widest": "8",
              "data.crop": "32", "loop.validate_every": "0"},
}  # fmt: skip


def train(method: str, dataset: Path, out: Path, steps: int, *, resume: bool = False) -> None:
    """Train and write `OUT/process-N.pt`."""
    kept: list[Prepared] = []
    known = METHODS[method]

    def prepare(root: Path, config: object) -> Prepared:
        kept.append(known.prepare(root, config))
        return kept[-1]

    overrides = {"loop.steps": str(steps)} | ({} if resume else COMMON | OWN[method])
    with patch.object(train_run, "METHODS", {method: replace(known, prepare=prepare)}):
        run = train_run.train(method, dataset, overrides=overrides, out=out, resume=resume)
    rank = distributed.current().rank
    assert (run.weights is not None) == (rank == 0)
    torch.save(kept[0].trainer.state_dict(), out / f"process-{rank}.pt")
    (out / f"process-{rank}.json").write_text(json.dumps({"steps": run.steps, "count": distributed.current().world_size}))


if __name__ == "__main__":
    train(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
