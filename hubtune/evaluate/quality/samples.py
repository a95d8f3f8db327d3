"""What both models write after the same held-out beginnings, to be read side by side."""

from collections.abc import Sequence

import numpy as np

from hubtune.config.data import PERSONAL_KINDS
from hubtune.data.screening.detectors import Detectors
from hubtune.data.screening.spans import Span, redact
from hubtune.evaluate.bench import Bench
from hubtune.evaluate.intervals import mean_of, measure_of, rate_of
from hubtune.evaluate.quality.overlap import no_text, writing_settings
from hubtune.records.evaluation import Measure, Sample

SHOWN = 5
"""How many samples are kept."""
# Characters of a text that are kept.
_LONGEST = 500


class Samples:
    """Keeps a few continuations; they are published, so what looks like personal data or a secret is blacked out."""

    name = "samples"

    def unfit(self, bench: Bench) -> str | None:
        return no_text(bench)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        made = {side: bench.continuations(side)[:SHOWN] for side in bench.sides}
        detectors = Detectors.make(bench.phone_regions)
        for number, row in enumerate(bench.begun.rows[:SHOWN]):
            written: dict[str, str] = {"reference": row.reference}
            written |= {side: each[number].text for side, each in made.items()}
            prompt, safe = _safe(row.text, written, detectors)
            bench.samples.append(
                Sample(
                    prompt=prompt if len(prompt) <= _LONGEST else f"…{prompt[-_LONGEST:]}",
                    reference=safe["reference"],
                    base=safe.get("base"),
                    tuned=safe["tuned"],
                )
            )
        return []


def _safe(prompt: str, written: dict[str, str], detectors: Detectors) -> tuple[str, dict[str, str]]:
    """Blacks out what is found in the prompt with each text after it: a value may begin in one and end in the other."""
    before: set[Span] = set()
    safe = {}
    for name, text in written.items():
        spans = detectors.find(prompt + text)
        before |= set(_within(spans, 0, len(prompt)))
        after = redact(text, _within(spans, len(prompt), len(prompt + text)))
        safe[name] = _shortened(detectors.redact(after, PERSONAL_KINDS))
    return detectors.redact(redact(prompt, sorted(before)), PERSONAL_KINDS), safe


def _within(spans: Sequence[Span], start: int, end: int) -> list[Span]:
    """Returns the parts of spans between two places, counted from the first of them."""
    parts = (Span(max(span.start, start) - start, min(span.end, end) - start, span.kind) for span in spans)
    return [part for part in parts if part.start < part.end]


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


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
