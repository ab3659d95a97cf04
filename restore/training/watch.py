"""How a run is watched: preview grids, charts and the page of the run; scores on held-out images, and when these end the run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from restore import distributed
from restore.training import run_page
from restore.training.charts import contact_sheet, loss_plot
from restore.training.previews import save_grid
from restore.training.trainer import Trainer
from restore.training.validation import BestSoFar, Validation

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watch:
    """Shows a run and scores it. Only the main process of several shows and scores.

    Attributes:
        folder: the run's folder.
        preview_batch: samples of the preview grids; None to write none.
        validation: held-out samples and metrics; None for none.
        patience: validations without a better one after which the run stops; 0 for never.
        best: the best validation so far.
        published: the scores of the best weights that the run published, by metric. They may be better than `best`, which comes from a
            checkpoint: a run that was killed or rolled back had come further.
    """

    folder: Path
    preview_batch: Mapping[str, Tensor] | None
    validation: Validation | None
    patience: int
    best: BestSoFar = field(default_factory=BestSoFar)
    published: dict[str, float] = field(default_factory=dict)

    def choose_metric(self) -> str:
        """Choose the best weights by the validation's metric; return what to say if a resumed run chose them by another one."""
        if self.validation is None or not (before := self.best.choose(self.validation.best_by)):
            return ""
        return f"the best weights are chosen by {self.validation.best_by} from here on, and were by {before}: the best so far begins anew"

    def preview(self, trainer: Trainer, step: int) -> None:
        """Write the preview grid of a step."""
        if self.preview_batch is not None and distributed.current().is_main:
            save_grid(self.folder / "previews" / f"{step:06d}.png", trainer.preview(self.preview_batch))

    def overview(self) -> None:
        """Write the contact sheet and the page."""
        if self.preview_batch is not None and distributed.current().is_main:
            contact_sheet(self.folder)
            self._page()

    def finish(self) -> None:
        """Plot the losses and write the page of the whole run."""
        if distributed.current().is_main:
            loss_plot(self.folder)
            self._page()

    def scores(self, trainer: Trainer) -> dict[str, float]:
        """Score the run; nothing in all processes but the main one, and in a run without validation."""
        return self.validation.scores(trainer) if self.validation is not None and distributed.current().is_main else {}

    def is_best(self, scores: Mapping[str, float], step: int) -> bool:
        """Take in the scores of a validation; return whether they are the best so far, and no worse than the published ones."""
        assert self.validation is not None
        best_by = self.validation.best_by
        value, higher_is_better = scores[best_by], self.validation.metrics[best_by].higher_is_better
        if not self.best.update(value, step, higher_is_better=higher_is_better):
            return False
        published = self.published.get(best_by, value)
        if value < published if higher_is_better else value > published:
            return False
        self.published.clear()
        self.published.update(scores)
        return True

    def is_over(self) -> bool:
        """Whether patience has ended. All processes call this together and agree: the main one's validations count."""
        over = torch.tensor([float(0 < self.patience <= self.best.since)])
        distributed.current().average([over])
        return bool(over > 0)

    def __str__(self) -> str:
        best = self.best
        return f"{best.since} validation{'s' if best.since > 1 else ''} after the best ({best.value:.4g} at step {best.step})"

    def _page(self) -> None:
        """Write the page of the run. A full disk costs the page, not the run."""
        try:
            run_page.write(self.folder)
        except OSError as error:
            log.warning("cannot write %s: %s", self.folder / run_page.NAME, error)
