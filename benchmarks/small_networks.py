"""Fits the small networks that ship as JSON, see `restore.inference.shipped_numbers.Perceptron`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from restore.inference.shipped_numbers import Perceptron

BATCH = 512
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Fit:
    """Units of each hidden layer, steps, and what regularises: noise on the normalised features, and weight decay."""

    width: int = 16
    steps: int = 4000
    noise: float = 0.05
    decay: float = 1e-2


def fit(features: np.ndarray, labels: np.ndarray, seed: int, loss: Loss, settings: Fit) -> Perceptron:
    """Train on (N, F) features and (N,) labels by AdamW with a falling rate."""
    width = settings.width
    torch.manual_seed(seed)
    mean, deviation = features.mean(0), features.std(0)
    x, y = torch.tensor((features - mean) / deviation, dtype=torch.float32), torch.tensor(labels, dtype=torch.float32)
    linear = [torch.nn.Linear(x.shape[1], width), torch.nn.Linear(width, width), torch.nn.Linear(width, 1)]
    network = torch.nn.Sequential(linear[0], torch.nn.SiLU(), linear[1], torch.nn.SiLU(), linear[2])
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=settings.decay)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    for _ in range(settings.steps):
        chosen = torch.randint(len(x), (BATCH,))
        noisy = x[chosen] + settings.noise * torch.randn(BATCH, x.shape[1])
        optimizer.zero_grad()
        loss(network(noisy)[:, 0], y[chosen]).backward()
        optimizer.step()
        falling.step()
    weights = [(layer.weight.detach().numpy().astype(np.float64), layer.bias.detach().numpy().astype(np.float64)) for layer in linear]
    (first, first_bias), (second, second_bias), (third, offset) = weights
    return Perceptron(mean, deviation, first, first_bias, second, second_bias, third[0], float(offset[0]))


def stored(network: Perceptron) -> dict[str, object]:
    """As JSON."""
    return {key: np.round(value, 5).tolist() for key, value in vars(network).items()}
