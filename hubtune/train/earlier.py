"""The earlier task while a new one is learnt: how well it is known before and after, and what holds the weights."""

from collections.abc import Sequence
from dataclasses import dataclass

from hubtune.config.earlier import EarlierConfig
from hubtune.data.earlier import EarlierRows
from hubtune.data.tokens import Example
from hubtune.records.progress import Progress
from hubtune.records.training import EarlierTaskRecord
from hubtune.train.batches import Batcher
from hubtune.train.classes import ClassBatcher, ClassLoss
from hubtune.train.consolidation import Consolidation, consolidate
from hubtune.train.held_out import first_rows, row_losses
from hubtune.train.loss import SummedLoss


@dataclass(frozen=True)
class EarlierTask:
    """What a training knows of an earlier task.

    Attributes:
        before: The loss of each held-out row that is measured at the start, in nats.
        consolidation: What holds the weights; None where nothing does.
    """

    rows: EarlierRows
    loss: SummedLoss
    batcher: Batcher
    before: list[float]
    consolidation: Consolidation | None

    @classmethod
    def begin(
        cls,
        config: EarlierConfig,
        rows: EarlierRows,
        loss: SummedLoss | ClassLoss,
        batcher: Batcher | ClassBatcher,
        seed: int,
        progress: Progress,
    ) -> "EarlierTask":
        """Measures a model that has not been trained yet.

        Args:
            config: What is done against forgetting.
            rows: The earlier task's.
            loss: The model at the start, wrapped into its loss.
            batcher: Makes batches of rows.
            seed: Of what is drawn.
            progress: Told of what is measured.
        """
        assert isinstance(loss, SummedLoss), "the data stage refuses rows to classify"
        assert isinstance(batcher, Batcher), "it goes with the loss"
        measured = first_rows(rows.held_out)
        before = row_losses(loss, measured, batcher)
        progress.say(f"Loss on {len(measured):,} earlier rows at the start: {sum(before) / _tokens(measured):.3f}")
        held = consolidate(loss, batcher, rows.matter, config.ewc, seed, progress) if config.ewc else None
        return cls(rows, loss, batcher, before, held)

    def finish(self, progress: Progress) -> EarlierTaskRecord:
        """Measures the model as it is now; returns what became of the earlier task."""
        rows = first_rows(self.rows.held_out)
        after, tokens = row_losses(self.loss, rows, self.batcher), _tokens(rows)
        record = EarlierTaskRecord(
            rows=len(rows),
            tokens=tokens,
            before=sum(self.before) / tokens,
            after=sum(after) / tokens,
            row_tokens=[row.learnt for row in rows],
            row_before=self.before,
            row_after=after,
            replayed=len(self.rows.replayed),
            ewc=0 if self.consolidation is None else self.consolidation.strength,
            fisher_rows=len(self.rows.matter),
            penalty=None if self.consolidation is None else self.consolidation.penalty(),
        )
        progress.say(f"Loss on the earlier rows now: {record.after:.3f}, {record.forgetting:+.3f} nats per token")
        return record


def _tokens(rows: Sequence[Example]) -> int:
    return sum(row.learnt for row in rows)
