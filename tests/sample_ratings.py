"""Runs whose pairs can be rated, made without a model."""

from collections.abc import Sequence
from pathlib import Path

from hubtune.pipeline.rating import Session, kept_pairs
from hubtune.records.ratings import PairsRecord, RatingPair
from hubtune.records.rundir import RunDirectory
from tests.sample_runs import ENVIRONMENT, finished_run

FROM_BASE, FROM_TUNED = "The oats came from", "The wheat came from"


def sample_pairs(count: int) -> list[RatingPair]:
    """Returns pairs whose texts tell a test, and nobody else, whose they are."""
    return [
        RatingPair(
            prompt=f"The {number}th mill", base=f"{FROM_BASE} field {number}", tuned=f"{FROM_TUNED} field {number}"
        )
        for number in range(count)
    ]


def ratable_run(path: Path, pairs: Sequence[RatingPair]) -> RunDirectory:
    """Makes a finished run with these pairs."""
    run = finished_run(path)
    run.ratings_dir.mkdir()
    record = PairsRecord(
        upstream=run.digests("data.json", "training.json"),
        asked=len(pairs) + 2,
        prompts=len(pairs) + 2,
        identical=2,
        too_long=0,
        max_new_tokens=64,
        precision="fp32",
        seed=42,
        environment=ENVIRONMENT,
        pairs=list(pairs),
    )
    run.write(record)
    return run


def session_of(run: RunDirectory, rater: str = "ann") -> Session:
    """Returns a rater's session."""
    pairs = kept_pairs(run)
    assert pairs is not None
    return Session(run, pairs, rater)
