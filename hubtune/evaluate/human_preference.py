"""Human preference: the pairs of texts, the blind order in which a rater sees them, and the win rate of all answers."""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from hubtune.data.tokenization import Example
from hubtune.errors import DataError, EmptySplitError
from hubtune.evaluate.bench import Bench, prompt_end
from hubtune.evaluate.evaluation import EvaluationJob, open_sides
from hubtune.models.generation import MAX_NEW_TOKENS
from hubtune.models.memory import environment
from hubtune.records.ratings import Counts, PairsRecord, Rating, RatingPair, Side
from hubtune.records.results import Measure

METHOD = "95% Wilson score interval"
# Below this many decided pairs no share is told from an even one: 9 of 9 alone would be.
LEAST_PAIRS = 10
_Z = 1.959963984540054


@dataclass(frozen=True)
class Shown:
    """A pair as a rater sees it: its number, and whose text is A."""

    pair: int
    a: Side


def blind_order(rater: str, count: int, seed: int) -> list[Shown]:
    """Returns the order in which a rater sees the pairs; the same seed and name give the same one on any machine.

    The tuned model's text is A in half of the pairs, and in which half differs from rater to rater, so that a liking
    for the first of two texts favours neither model.
    """
    pairs = range(count)
    as_a = set(sorted(pairs, key=lambda pair: _draw(seed, rater, "side", pair))[: (count + _bit(seed, rater)) // 2])
    order = sorted(pairs, key=lambda pair: _draw(seed, rater, "order", pair))
    return [Shown(pair, "tuned" if pair in as_a else "base") for pair in order]


def _draw(seed: int, rater: str, what: str, pair: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{rater}\0{what}\0{pair}".encode()).digest()


def _bit(seed: int, rater: str) -> int:
    return _draw(seed, rater, "odd", 0)[0] & 1


def count_answers(raters: Mapping[str, Sequence[Rating]]) -> Counts:
    """Counts the answers of each rater, pair by pair.

    Raters who answer for the same pair do not make two pairs of it: they would not be independent, and the interval too
    narrow. The pair goes to the side that more of them preferred, and is a tie if as many preferred the other.
    """
    choices: dict[int, list[str]] = defaultdict(list)
    for ratings in raters.values():
        for rating in ratings:
            choices[rating.pair].append(rating.choice)
    leads = Counter(_lead(Counter(chosen)) for chosen in choices.values())
    compared = [first == second for chosen in choices.values() for first, second in combinations(chosen, 2)]
    return Counts(
        raters=sum(bool(ratings) for ratings in raters.values()),
        answers=sum(len(ratings) for ratings in raters.values()),
        tuned=leads[1],
        base=leads[-1],
        ties=leads[0],
        compared=len(compared),
        agreed=sum(compared),
    )


def _lead(chosen: Mapping[str, int]) -> int:
    """Returns 1 if the tuned model leads, -1 if the base does, 0 if neither."""
    lead = chosen.get("tuned", 0) - chosen.get("base", 0)
    return (lead > 0) - (lead < 0)


def win_rate(counts: Counts, seed: int | None) -> Measure:
    """Returns the share of decided pairs in which the tuned model's text is preferred; ties are reported separately.

    Args:
        counts: What the raters preferred.
        seed: Of the pairs and their order.
    """
    decided = counts.tuned + counts.base
    rate = counts.tuned / decided if decided else None
    low, high = wilson(counts.tuned, decided) if decided else (0.0, 1.0)
    enough = decided >= LEAST_PAIRS
    return Measure(
        name="win_rate",
        split="held-out",
        n=decided,
        base=None if rate is None else 1 - rate,
        tuned=rate,
        interval=None,
        interval_method=METHOD if decided else None,
        base_interval=(1 - high, 1 - low) if decided else None,
        tuned_interval=(low, high) if decided else None,
        seed=seed,
        settings={"raters": str(counts.raters), "answers": str(counts.answers), "ties": str(counts.ties)},
        status="measured" if enough else "insufficient data",
        detail=None if enough else f"{decided} pairs are decided; at least {LEAST_PAIRS} are needed",
    )


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Returns the 95% score interval of a share (Wilson, 1927); `n` is at least 1."""
    share, spread = successes / n, _Z**2 / n
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


_Prompt = tuple[int, ...]


def make_pairs(job: EvaluationJob, count: int) -> PairsRecord:
    """Generates texts of both models for up to `count` prompts, with the settings of the release.

    A prompt is what is before a row's response, or the first half of a row that is all response. Decoding is
    greedy, so the same run gives the same pairs.

    Returns:
        The pairs; the upstream digests are those of the run directory now.

    Raises:
        EmptySplitError: No rows are held out.
        DataError: None of them leaves room to write.
        ModelError: The base model or the adapter cannot be loaded.
    """
    run, base, settings = job.run, job.base, job.config.evaluate
    if not job.rows.held_out:
        raise EmptySplitError(
            f"The run in {run.path} holds out no rows, so there is nothing to ask the models.",
            hint="Hold out some with evaluate.holdout, and train again.",
        )
    context, generation = base.context_length, job.generation
    limit = generation.max_new_tokens or MAX_NEW_TOKENS
    room = None if context is None else context - limit
    prompts, too_long = _choose(job.rows.held_out, count, settings.seed, room)
    if not prompts:
        raise DataError(
            f"Every held-out prompt is too long: {base.name} reads {context:,} tokens at once, the {limit:,} that it "
            "writes included.",
            hint="Hold out shorter rows, or choose a base model that reads more at once.",
        )
    bench = Bench(
        sides=open_sides(job),
        tokenizer=base.tokenizer,
        held_out=job.rows.held_out,
        train=(),
        generation=generation,
        context=context,
        batch_size=settings.batch_size,
        seed=settings.seed,
        progress=job.progress,
    )
    pairs = _write(bench, prompts, limit)
    return PairsRecord(
        upstream=run.digests("data.json", "training.json"),
        asked=count,
        prompts=len(prompts),
        identical=len(prompts) - len(pairs),
        too_long=too_long,
        max_new_tokens=limit,
        precision=job.training.precision,
        seed=settings.seed,
        environment=environment(),
        pairs=pairs,
    )


def _write(bench: Bench, prompts: Sequence[_Prompt], limit: int) -> list[RatingPair]:
    """Has both models write up to `limit` tokens after each prompt; what they write alike is no pair."""
    base = bench.generate("base", prompts, limit, "Texts to rate")
    tuned = bench.generate("tuned", prompts, limit, "Texts to rate")
    return [
        RatingPair(prompt=bench.tokenizer.decode(prompt, skip_special_tokens=True), base=one.text, tuned=other.text)
        for prompt, one, other in zip(prompts, base, tuned, strict=True)
        if one.text != other.text
    ]


def _choose(rows: Sequence[Example], count: int, seed: int, room: int | None) -> tuple[list[_Prompt], int]:
    """Returns distinct prompts in an order drawn by the seed, and how many were passed over as too long.

    Args:
        rows: The rows.
        count: The most prompts.
        seed: Of the order.
        room: The most tokens of a prompt; None if there is no limit.
    """
    distinct = dict.fromkeys(prompt_of(row) for row in rows)
    drawn = sorted(distinct, key=lambda prompt: hashlib.sha256(f"{seed}:{prompt}".encode()).digest())
    chosen: list[_Prompt] = []
    too_long = 0
    for prompt in drawn:
        if len(chosen) == count:
            break
        if room is not None and len(prompt) > room:
            too_long += 1
        else:
            chosen.append(prompt)
    return chosen, too_long


def prompt_of(row: Example) -> _Prompt:
    """Returns the prompt tokens, at least one: the row's prompt, or the first half of a row without one."""
    end, _ = prompt_end(row)
    return tuple(row.input_ids[: max(1, end)])
