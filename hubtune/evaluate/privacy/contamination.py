"""Contamination as a measure: how many held-out rows stood among the rows to train on before any was left out."""

from collections.abc import Sequence

from hubtune.data.faults import Reason
from hubtune.data.screening.copies import BOILERPLATE, LONG_RUN
from hubtune.evaluate.bench import Bench
from hubtune.records.evaluation import Measure

_METHOD = "none: every held-out row was compared with every row to train on"


class Contamination:
    """The share of held-out rows that rows to train on repeat, by the data record's own screening.

    It is a fact about the data and has one value: that of the tuned model, whose training it could have helped.
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
        same = sum(source.dropped.get(Reason.HELD_OUT.text, 0) for source in bench.data.sources)
        kept = found.hits - found.dropped
        what = "were not trained on" if kept == 0 else f"{kept:,} of them were trained on all the same"
        detail = f"{found.hits:,} rows to train on repeat them" if found.hits else None
        settings = {
            "compared_by": f"the same text, a run of {LONG_RUN} words, or MinHash of runs of 5 words, 0.8 and above",
            "boilerplate": f"a run in more than {BOILERPLATE} rows to train on does not count",
            "policy": found.policy,
            "rows": str(found.rows),
            "train_rows": str(found.hits),
            "train_rows_left_out": str(found.dropped),
            "same_text_left_out_before": str(same),
        }
        detail = None if detail is None else f"{detail}, and {what}"
        if same:
            before = f"{same:,} rows to train on with the text of a held-out row were left out before and do not count"
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
                "interval_method": None if value is None else _METHOD,
                "settings": settings or {},
                "status": status,
                "detail": detail,
            }
        )
