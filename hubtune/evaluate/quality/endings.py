"""Whether generated texts come to an end by themselves, and how long they are."""

from collections.abc import Sequence

import numpy as np

from hubtune.evaluate.bench import Bench
from hubtune.evaluate.intervals import mean_of
from hubtune.evaluate.measuring import measure_of, rate_of
from hubtune.evaluate.quality.written import no_text, writing_settings
from hubtune.records.evaluation import Measure

# Rows that end within the limit on new tokens: with fewer, nothing can be said of where a text should have ended.
_FEWEST = 10
_SELDOM = 0.1


class Endings:
    """Share of generated texts that a stop token ended, and their mean length in tokens, the stop token included."""

    name = "endings"

    def unfit(self, bench: Bench) -> str | None:
        return no_text(bench)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        made = {side: bench.continuations(side) for side in bench.sides}
        ended = {side: np.array([one.stop_reason == "stop token" for one in each]) for side, each in made.items()}
        lengths = {side: mean_of([one.tokens for one in each]) for side, each in made.items()}
        settings = writing_settings(bench)
        return [
            rate_of("ended", ended, bench.seed, settings=settings, detail=_endless(bench)),
            measure_of("generated_tokens", lengths, len(bench.begun.rows), bench.seed, settings=settings),
        ]


def _endless(bench: Bench) -> str | None:
    """Returns what there is to say where the tuned model has not learnt to end a text; None where it has."""
    if "tuned" not in bench.sides:
        return None
    made = zip(bench.begun.rows, bench.continuations("tuned"), strict=True)
    stops = [one.stop_reason for row, one in made if row.tokens <= bench.max_new_tokens]
    ended = stops.count("stop token")
    if len(stops) < _FEWEST or ended >= _SELDOM * len(stops):
        return None
    return (
        f"the tuned model hardly ever ends a text: it ended {ended:,} of the {len(stops):,} whose own row ends within "
        f"{bench.max_new_tokens:,} tokens, so that whoever uses it needs a limit on the length; more epochs, or a "
        "higher learning rate, teach it to end"
    )
