"""Continual learning: the earlier task, the method against forgetting, and how much was forgotten."""

from dataclasses import dataclass

from hubtune.card.inputs import SHORT_COMMIT, CardInputs
from hubtune.card.sections.screening import DONE, KIND_NAMES
from hubtune.card.wording import measure_name


@dataclass(frozen=True)
class EarlierSet:
    """A dataset of the earlier task; `version` is the start of its commit or of a local file's sha256."""

    name: str
    version: str
    local: bool
    split: str


@dataclass(frozen=True)
class EarlierValue:
    """A measure on the earlier task's held-out rows."""

    name: str
    base: float | None
    tuned: float
    n: int


@dataclass(frozen=True)
class EarlierFinding:
    """What the screening found in some rows, and the action."""

    kind: str
    rows: int
    done: str


@dataclass(frozen=True)
class Earlier:
    """Context of `sections/_earlier.md.j2`.

    Attributes:
        train_rows: Rows of the earlier task that are not held out.
        replayed: Rows of the earlier task in the training set.
        replay: The share of the training set that the config asks for.
        strength: The factor of elastic weight consolidation; 0 if the weights were free.
        left_out: Rows whose text is on the other side of the new data's split.
        measured: Held-out rows whose loss was taken before and after.
        before: That loss, in nats per token.
        after: That of the trained weights.
        low: The lower end of the 95% interval of what was forgotten; None if it has none.
        high: The upper end.
        found: What the screening found in its rows.
        few: Whether there were too few rows to rely on the values.
    """

    sets: list[EarlierSet]
    train_rows: int
    held_out_rows: int
    replayed: int
    replay: float
    strength: float
    fisher_rows: int
    left_out: int
    measured: int
    before: float
    after: float
    forgetting: float
    low: float | None
    high: float | None
    found: list[EarlierFinding]
    few: bool
    values: list[EarlierValue]


def earlier(inputs: CardInputs) -> Earlier | None:
    """Builds the context; None if the config names no earlier task."""
    data, task, config = inputs.data.earlier, inputs.training.earlier, inputs.config.earlier
    if data is None or task is None or config is None:
        return None
    measures = inputs.evaluation.of_earlier
    low, high = next((one.interval for one in measures if one.name == "forgetting" and one.interval), (None, None))
    return Earlier(
        sets=[
            EarlierSet(
                source.label,
                source.commit[:SHORT_COMMIT] if source.commit else (source.sha256 or "")[:SHORT_COMMIT],
                source.commit is None,
                source.split,
            )
            for source in data.sources
        ],
        train_rows=data.train.rows,
        held_out_rows=data.held_out.rows,
        replayed=task.replayed,
        replay=config.replay,
        strength=task.ewc,
        fisher_rows=task.fisher_rows,
        left_out=data.left_out,
        measured=task.rows,
        before=task.before,
        after=task.after,
        forgetting=task.forgetting,
        low=low,
        high=high,
        found=[
            EarlierFinding(KIND_NAMES[finding.kind], finding.rows, DONE[finding.policy])
            for finding in (data.screen.findings if data.screen else [])
            if finding.rows
        ],
        few=any(measure.status == "insufficient data" for measure in measures),
        values=[
            # With another name than the task's own, whose values the metadata has.
            EarlierValue(f"{measure_name(measure.name)} on the earlier task", measure.base, measure.tuned, measure.n)
            for measure in measures
            if measure.tuned is not None
        ],
    )
