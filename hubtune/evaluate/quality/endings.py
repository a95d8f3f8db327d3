"""Whether generated texts come to an end by themselves, and how long they are."""

from collections.abc import Sequence

import numpy as np

from hubtune.evaluate.bench import Bench
from hubtune.evaluate.intervals import mean_of
from hubtune.evaluate.measuring import measure_of, rate_of
from hubtune.evaluate.quality.written import no_text, writing_settings
from hubtune.records.evaluation import Measure


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
            rate_of("ended", ended, bench.seed, settings=settings),
            measure_of("generated_tokens", lengths, len(bench.begun.rows), bench.seed, settings=settings),
        ]
