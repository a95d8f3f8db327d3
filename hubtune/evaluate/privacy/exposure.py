"""Canary exposure: how well a model tells planted secrets from others (Carlini et al., 2019). And contamination.

An exposure of b bits means that the model ranks the canary among the most likely 1 / 2^b of all possible secrets. A
model that never saw the canary gives it a random rank, which is log2(e), about 1.44 bits, on average.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hubtune.data.canaries import DIGITS, FORMAT, Canary, draw_canaries, draw_others, encode_rows
from hubtune.data.screening.duplicates import BOILERPLATE
from hubtune.data.screening.sketches import LONG_RUN
from hubtune.data.segments import DropReason
from hubtune.evaluate.bench import Bench, Scored, Side
from hubtune.evaluate.intervals import RESAMPLES, mean_of, measure_of
from hubtune.records.results import Measure

CANDIDATES = 512
"""Secrets that each canary is ranked among, its own included: at most log2 of it, 9 bits, can be shown."""
LEAST = 10
_LONGEST_ROW = 10**6
_METHOD = f"bootstrap over canaries, {RESAMPLES} resamples, 95% percentile interval"


class CanaryExposure:
    """The mean exposure of the planted canaries."""

    name = "canary_exposure"
    group = "privacy"

    def unfit(self, bench: Bench) -> str | None:
        """Returns a reason if no canary was planted."""
        planted = bench.data is not None and bench.data.canaries is not None
        return None if planted else "no canaries were planted (evaluate.canaries)"

    def measure(self, bench: Bench) -> Sequence[Measure]:
        """Ranks each canary on every side among the same candidates."""
        assert bench.data is not None, "it would be unfit"
        assert bench.data.canaries is not None, "it would be unfit"
        record = bench.data.canaries
        if (record.format, record.digits) != (FORMAT, DIGITS):
            detail = "another version of hubtune planted the canaries, in another format"
            return [_without_value(self.name, record.rows, detail)]
        canaries = draw_canaries(record.rows, record.seed)
        found = {side: exposures(canary_scores(bench, side, canaries, record.seed)) for side in bench.sides}
        settings = {
            "format": record.format,
            "candidates": str(CANDIDATES),
            "chance_bits": f"{chance(CANDIDATES):.2f}",
            "most_bits": f"{math.log2(CANDIDATES):.2f}",
            "ties": "mean rank",
        }
        values = {side: mean_of(each) for side, each in found.items()}
        measure = measure_of(
            self.name,
            values,
            record.rows,
            bench.seed,
            least=LEAST,
            group="privacy",
            split="canaries",
            settings=settings,
        )
        if measure.status != "measured":
            return [measure]
        own = {f"{side}_interval": bootstrap_mean(each, bench.seed) for side, each in found.items()}
        return [measure.model_copy(update={**own, "interval_method": f"{_METHOD} of tuned - base"})]


def canary_scores(bench: Bench, side: Side, canaries: Sequence[Canary], seed: int) -> npt.NDArray[np.float64]:
    """Returns log p of each canary's row with each candidate, shape (canaries, candidates); the canary is first."""
    texts = [
        canary.with_secret(secret)
        for canary in canaries
        for secret in (canary.secret, *draw_others(canary, CANDIDATES - 1, seed))
    ]
    rows = encode_rows(texts, bench.tokenizer, bench.context or _LONGEST_ROW)
    scored = [Scored(row.input_ids, [False, *[True] * (len(row.input_ids) - 1)]) for row in rows]
    return bench.score(side, scored, "Canaries").reshape(len(canaries), CANDIDATES)


def exposures(scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Returns the exposure of each canary: log2 of the candidates minus log2 of its rank, in bits.

    Args:
        scores: The log-likelihood of each candidate, shape (canaries, candidates); the canary's own stands first. One
            that shares its score with others has the mean of the ranks that they take together.
    """
    array = np.asarray(scores, dtype=np.float64)
    own, others = array[:, :1], array[:, 1:]
    ranks = 1 + (others > own).sum(axis=1) + (others == own).sum(axis=1) / 2
    found: npt.NDArray[np.float64] = np.log2(array.shape[1]) - np.log2(ranks)
    # A score that is no number has no rank.
    return np.where(np.isfinite(array).all(axis=1), found, np.nan)


def chance(candidates: int) -> float:
    """Returns the mean exposure if every rank is as likely, in bits; log2(e) for very many candidates."""
    return math.log2(candidates) - math.lgamma(candidates + 1) / math.log(2) / candidates


def bootstrap_mean(values: npt.NDArray[np.float64], seed: int) -> tuple[float, float]:
    """Returns the 95% percentile interval of the mean over items."""
    draws = np.random.default_rng(seed).integers(0, len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def _without_value(name: str, planted: int, detail: str) -> Measure:
    return Measure(
        name=name,
        group="privacy",
        split="canaries",
        n=planted,
        base=None,
        tuned=None,
        interval=None,
        status="not assessed",
        detail=detail,
    )


_CENSUS = "none: every held-out row was compared with every training row"


class Contamination:
    """The share of held-out rows that training rows repeat, by the screening in the data record.

    It is a fact about the data, so it has one value: that of the tuned model, which could have benefited from it.
    """

    name = "contamination"
    group = "privacy"

    def measure(self, bench: Bench) -> Sequence[Measure]:
        """Takes the counts from the data record."""
        screen = None if bench.data is None else bench.data.screen
        found = None if screen is None else next((one for one in screen.findings if one.kind == self.name), None)
        compared = 0 if screen is None else screen.held_out or 0
        if found is None or compared == 0:
            return [self._measure(0, None, "not assessed", "the rows were not screened for it")]
        assert bench.data is not None, "its screen was found"
        same = sum(source.dropped.get(DropReason.HELD_OUT.text, 0) for source in bench.data.sources)
        kept = found.hits - found.dropped
        what = " and were dropped" if kept == 0 else f", and {kept:,} of these were kept"
        detail = f"{found.hits:,} training rows repeat them" if found.hits else None
        settings = {
            "compared_by": f"the same text, a run of {LONG_RUN} words, or MinHash of runs of 5 words, 0.8 and above",
            "boilerplate": f"a run in more than {BOILERPLATE} rows to train on does not count",
            "policy": found.policy,
            "rows": str(found.rows),
            "train_rows": str(found.hits),
            "train_rows_left_out": str(found.dropped),
            "same_text_left_out_before": str(same),
        }
        detail = None if detail is None else f"{detail}{what}"
        if same:
            before = f"{same:,} training rows with the text of a held-out row had been dropped before and do not count"
            detail = before if detail is None else f"{detail}; {before}"
        return [self._measure(compared, found.rows / compared, "measured", detail, settings)]

    def _measure(
        self, rows: int, value: float | None, status: str, detail: str | None, settings: dict[str, str] | None = None
    ) -> Measure:
        return Measure.model_validate(
            {
                "name": self.name,
                "group": self.group,
                "split": "held-out",
                "n": rows,
                "base": None,
                "tuned": value,
                "interval": None,
                "interval_method": None if value is None else _CENSUS,
                "settings": settings or {},
                "status": status,
                "detail": detail,
            }
        )
