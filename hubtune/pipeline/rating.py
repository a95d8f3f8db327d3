"""Human evaluation of a run: a rater's session, and the record with the result of all answers."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from hubtune.errors import ConfigError, DataError, RecordError
from hubtune.evaluate.human_preference import Shown, blind_order, count_answers, win_rate
from hubtune.files import file_errors
from hubtune.pipeline.context import RunContext, require_train
from hubtune.records.base import sha256_file
from hubtune.records.ratings import SUFFIX, Answer, AnswerFile, PairsRecord, Rating, RatingsRecord
from hubtune.records.results import TrainingRecord
from hubtune.records.rundir import RunDirectory

DEFAULT_RATER = "rater1"
_RATER = re.compile(r"[^\W_][\w.-]{0,39}")


@dataclass(frozen=True)
class Trial:
    """What a rater sees next: two texts, and nothing that says whose they are.

    Attributes:
        answered: How many pairs this rater has answered.
        total: How many pairs there are.
    """

    answered: int
    total: int
    prompt: str
    a: str
    b: str


@dataclass(frozen=True)
class Done:
    """There is nothing left to rate."""

    total: int


def kept_pairs(run: RunDirectory) -> PairsRecord | None:
    """Returns the run's pairs, None if there are none yet.

    Raises:
        RecordError: They are damaged, or were made before the run was trained again.
    """
    if not run.record_file(PairsRecord).is_file():
        return None
    try:
        return run.read(PairsRecord)
    except RecordError as error:
        raise RecordError(
            error.message,
            details=error.details,
            hint="Answers to those pairs say nothing of the model that the run holds now. Move "
            f"{run.ratings_dir} elsewhere, then rate again: hubtune rate {run.path}",
        ) from error


class Session:
    """One rater at work. The state is in the rater's file alone, so any process can go on with it at any time.

    Args:
        run: The run.
        pairs: Its pairs.
        rater: A name that `check_rater` returned.

    Raises:
        RecordError: A file of answers is damaged, this rater's or another's.
    """

    def __init__(self, run: RunDirectory, pairs: PairsRecord, rater: str) -> None:
        self.rater = rater
        self._run = run
        self._pairs = pairs
        self._order = blind_order(rater, len(pairs.pairs), pairs.seed)
        self._digest = sha256_file(run.record_file(PairsRecord))
        self._file = _answer_file(run, rater, self._digest, len(pairs.pairs))
        # A session that was killed may have kept an answer which is not counted yet.
        update_ratings(run, pairs)

    @property
    def cut_off(self) -> bool:
        """Whether the last answer was cut off as it was written; it is asked for again."""
        return self._file.read().cut_off

    def next(self) -> Trial | Done:
        """Returns what to show.

        Raises:
            RecordError: The rater's file is damaged.
        """
        given = self._file.read().given
        left = self._left(given)
        if not left:
            return Done(len(self._order))
        shown = left[0]
        pair = self._pairs.pairs[shown.pair]
        a, b = (pair.tuned, pair.base) if shown.a == "tuned" else (pair.base, pair.tuned)
        return Trial(len(given), len(self._order), pair.prompt, a, b)

    def answer(self, answered: int, answer: Answer) -> bool:
        """Keeps an answer; it is on the disk before this returns.

        Args:
            answered: The `answered` of the trial that it is to.
            answer: Which text is better.

        Returns:
            Whether it was kept; it is not where it is to another pair than the next, such as one that is sent twice.
        """

        def make(given: tuple[Rating, ...]) -> Rating | None:
            left = self._left(given)
            if len(given) != answered or not left:
                return None
            return Rating(pairs=self._digest, pair=left[0].pair, a=left[0].a, answer=answer, time=_now())

        return self._keep(make)

    def undo(self, answered: int) -> bool:
        """Takes back the last answer; the same arguments and returns as `answer`."""

        def make(given: tuple[Rating, ...]) -> Rating | None:
            if len(given) != answered or not given:
                return None
            return given[-1].model_copy(update={"answer": "undone", "time": _now()})

        return self._keep(make)

    def _keep(self, make: Callable[[tuple[Rating, ...]], Rating | None]) -> bool:
        kept = self._file.append(make) is not None
        if kept:
            update_ratings(self._run, self._pairs)
        return kept

    def _left(self, given: tuple[Rating, ...]) -> list[Shown]:
        done = {rating.pair for rating in given}
        return [shown for shown in self._order if shown.pair not in done]


def check_rater(name: str) -> str:
    """Returns a rater's name in the form that names a file.

    Raises:
        ConfigError: It cannot.
    """
    name = unicodedata.normalize("NFC", name.strip())
    if not _RATER.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be a rater's name.",
            hint="Any pseudonym of up to 40 letters, digits, dots, hyphens and underscores will do, such as rater2.",
        )
    return name


def report(run: RunDirectory) -> RatingsRecord:
    """Returns what the answers so far come to, and writes it into ratings.json, where the card finds it.

    Raises:
        RecordError: Nobody has answered yet, the run was trained again since, or a file of answers is damaged.
    """
    pairs = kept_pairs(run)
    found = None if pairs is None else update_ratings(run, pairs)
    if found is None:
        raise RecordError(f"Nobody has rated {run.path} yet.", hint=f"Rate it first: hubtune rate {run.path}")
    return found


def update_ratings(run: RunDirectory, pairs: PairsRecord) -> RatingsRecord | None:
    """Writes ratings.json from all files of answers; removes it and returns None if no answer is left."""
    digest = sha256_file(run.record_file(PairsRecord))
    files = [
        _answer_file(run, path.name.removesuffix(SUFFIX), digest, len(pairs.pairs))
        for path in sorted(run.ratings_dir.glob(f"*{SUFFIX}"))
    ]
    counts = count_answers({file.rater: file.read().given for file in files})
    if not counts.answers:
        with file_errors(run.path):
            run.record_file(RatingsRecord).unlink(missing_ok=True)
        return None
    record = RatingsRecord(
        upstream=run.digests("data.json", "training.json"),
        pairs=digest,
        offered=len(pairs.pairs),
        identical=pairs.identical,
        max_new_tokens=pairs.max_new_tokens,
        precision=pairs.precision,
        counts=counts,
        measure=win_rate(counts, pairs.seed),
    )
    run.write(record)
    return record


def _answer_file(run: RunDirectory, rater: str, pairs: str, count: int) -> AnswerFile:
    return AnswerFile(run.ratings_dir / f"{rater}{SUFFIX}", pairs, count)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


DEFAULT_PAIRS = 50


def pairs_of(context: RunContext, count: int | None) -> PairsRecord:
    """Returns the run's pairs, which are made if there are none yet; only that needs the models.

    Args:
        context: A run with an adapter.
        count: How many prompts; None for 50, or as many as there are pairs for already.

    Raises:
        HubtuneError: The run was not trained, or was trained again since the pairs were made; it has other pairs than
            `count` asks for; its data or models cannot be read; or there is no pair to rate.
    """
    run = context.run
    pairs = kept_pairs(run) or _make(context, count or DEFAULT_PAIRS)
    if count is not None and count != pairs.asked:
        raise ConfigError(
            f"The pairs of {run.path} were made already, for {pairs.asked} prompts.",
            hint=f"Leave out -n; or move {run.ratings_dir} elsewhere to start again with {count}.",
        )
    if not pairs.pairs:
        raise DataError(
            f"Base and tuned model write the same after each of {pairs.prompts} prompts: there is nothing to prefer.",
            hint="Train longer, or with a higher learning rate.",
        )
    return pairs


def _make(context: RunContext, count: int) -> PairsRecord:
    run = context.run
    run.read(TrainingRecord)
    require_train("Making the pairs")
    from hubtune.evaluate.human_preference import make_pairs
    from hubtune.pipeline.stages import run_data

    prepared = run_data(context)
    if prepared.labels is not None:
        raise ConfigError(
            "The rows of this run have labels: its model classifies, and there are no texts to compare.",
            hint=f"Its measures say how well it classifies: hubtune evaluate {run.path}",
        )
    record = make_pairs(context.evaluation_job(prepared), count)
    with file_errors(run.path):
        run.ratings_dir.mkdir(exist_ok=True)
    run.write(record)
    context.progress.say(
        f"{len(record.pairs)} pairs from {record.prompts} held-out prompts ({record.identical} with identical texts)"
    )
    return record
