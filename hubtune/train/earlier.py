"""The earlier task while a new one is learnt: how well it is known before and after, and what holds the weights."""

from dataclasses import dataclass

from hubtune.config.earlier import EarlierConfig
from hubtune.data.earlier import EarlierRows
from hubtune.records.progress import Progress
from hubtune.records.training import EarlierTaskRecord
from hubtune.train.batches import Batcher
from hubtune.train.classes import ClassBatcher, ClassLoss
from hubtune.train.consolidation import Consolidation, consolidate
from hubtune.train.held_out import first_rows, mean_loss
from hubtune.train.loss import SummedLoss


@dataclass(frozen=True)
class EarlierTask:
    """What a training knows of an earlier task.

    Attributes:
        before: Loss on its held-out rows at the start, in nats per token.
        consolidation: What holds the weights; None where nothing does.
    """

    rows: EarlierRows
    loss: SummedLoss
    batcher: Batcher
    micro: int
    before: float
    consolidation: Consolidation | None

    @classmethod
    def begin(
        cls,
        config: EarlierConfig,
        rows: EarlierRows,
        loss: SummedLoss | ClassLoss,
        batcher: Batcher | ClassBatcher,
        micro: int,
        seed: int,
        progress: Progress,
    ) -> "EarlierTask":
        """Measures a model that has not been trained yet.

        Args:
            config: What is done against forgetting.
            rows: The earlier task's.
            loss: The model at the start, wrapped into its loss.
            batcher: Makes batches of rows.
            micro: How many rows go through the model at once.
            seed: Of what is drawn.
            progress: Told of what is measured.
        """
        assert isinstance(loss, SummedLoss), "the data stage refuses rows to classify"
        assert isinstance(batcher, Batcher), "it goes with the loss"
        before = mean_loss(loss, first_rows(rows.held_out), batcher, micro)
        progress.say(f"Loss on {len(first_rows(rows.held_out)):,} earlier rows at the start: {before:.3f}")
        held = consolidate(loss, batcher, rows.matter, config.ewc, seed, progress) if config.ewc else None
        return cls(rows, loss, batcher, micro, before, held)

    def finish(self, progress: Progress) -> EarlierTaskRecord:
        """Measures the model as it is now; returns what became of the earlier task."""
        rows = first_rows(self.rows.held_out)
        after = mean_loss(self.loss, rows, self.batcher, self.micro)
        progress.say(f"Loss on the earlier rows now: {after:.3f}, {after - self.before:+.3f} nats per token")
        return EarlierTaskRecord(
            rows=len(rows),
            tokens=sum(row.learnt for row in rows),
            before=self.before,
            after=after,
            replayed=len(self.rows.replayed),
            ewc=0 if self.consolidation is None else self.consolidation.strength,
            fisher_rows=len(self.rows.matter),
            penalty=None if self.consolidation is None else self.consolidation.penalty(),
        )
