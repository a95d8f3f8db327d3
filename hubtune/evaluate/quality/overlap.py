"""Generated texts compared with the held-out rows: BLEU and chrF (sacrebleu), ROUGE (rouge-score), and samples."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from hubtune.config.data import PERSONAL_KINDS
from hubtune.data.screening.detectors import Detectors
from hubtune.data.screening.spans import Span, redact
from hubtune.evaluate.bench import Bench, Side
from hubtune.evaluate.intervals import Resampled, mean_of, measure_of, rate_of
from hubtune.records.results import Measure, Sample

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric as Sacrebleu


@dataclass(frozen=True)
class Written:
    """Texts to compare, one line each: white space is folded to single spaces.

    Attributes:
        references: What each row says.
        texts: What each side wrote there.
    """

    references: list[str]
    texts: dict[Side, list[str]]


def written(bench: Bench) -> Written:
    """Returns the texts of every model for the held-out prompts, which all metrics share."""
    texts = {side: [_one_line(made.text) for made in bench.continuations(side)] for side in bench.sides}
    return Written([_one_line(row.reference) for row in bench.begun.rows], texts)


def writing_settings(bench: Bench) -> dict[str, str]:
    """Returns the generation settings, for a measure's settings."""
    return {"given": bench.begun.given, "decoding": f"greedy, at most {bench.max_new_tokens} new tokens"}


def no_text(bench: Bench) -> str | None:
    """Returns the reason why no text is generated on this bench, or None."""
    if bench.classes:
        return "the model is a classifier and generates no text"
    return None if bench.begun.rows else "no held-out row is long enough to be a prompt"


def no_answers(bench: Bench) -> str | None:
    """Returns the reason why there are no reference answers, or None."""
    return no_text(bench) or (None if bench.begun.asked else "the rows are not prompts with responses")


def _one_line(text: str) -> str:
    return " ".join(text.split())


_FOLDED = "runs of white space folded to a space"


class Bleu:
    """Corpus BLEU (Papineni et al., 2002) with sacrebleu's defaults, 0 to 100."""

    name = "bleu"

    def unfit(self, bench: Bench) -> str | None:
        return no_text(bench)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        from sacrebleu.metrics import BLEU

        return [_sacrebleu(self.name, BLEU(), bench)]


class Chrf:
    """Corpus chrF2 (Popović, 2015) with sacrebleu's defaults, 0 to 100."""

    name = "chrf"

    def unfit(self, bench: Bench) -> str | None:
        return no_text(bench)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        from sacrebleu.metrics import CHRF

        return [_sacrebleu(self.name, CHRF(), bench)]


class Rouge:
    """Mean F1 of ROUGE-1, ROUGE-2 and ROUGE-L (Lin, 2004) over the rows, 0 to 1, without stemming."""

    name = "rouge"

    def unfit(self, bench: Bench) -> str | None:
        return no_text(bench)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        from rouge_score.rouge_scorer import RougeScorer

        kinds = ("rouge1", "rouge2", "rougeL")
        scorer, texts = RougeScorer(list(kinds)), written(bench)
        scores = {
            side: [scorer.score(*pair) for pair in zip(texts.references, made, strict=True)]
            for side, made in texts.texts.items()
        }
        signature = f"rouge-score {version('rouge-score')}, F1, mean over rows, no stemming"
        return [
            measure_of(
                kind,
                {side: mean_of([row[kind].fmeasure for row in rows]) for side, rows in scores.items()},
                len(texts.references),
                bench.seed,
                settings={"signature": signature, **writing_settings(bench)},
            )
            for kind in kinds
        ]


def _sacrebleu(name: str, metric: "Sacrebleu", bench: Bench) -> Measure:
    texts = written(bench)
    sides = {side: _corpus(metric, made, texts.references) for side, made in texts.texts.items()}
    return measure_of(
        name,
        sides,
        len(texts.references),
        bench.seed,
        # The metric knows its whole signature only now that it has seen references.
        settings={"signature": f"{metric.get_signature()}, {_FOLDED}", **writing_settings(bench)},
    )


def _corpus(metric: "Sacrebleu", texts: Sequence[str], references: Sequence[str]) -> Resampled:
    """Returns the score of drawn rows taken as a corpus, from the counts of each row.

    sacrebleu's own resampling gives the interval of a side, and not of the difference of two; so the counts are summed
    here, which is why this goes below its public methods.
    """
    counts = np.array(metric._extract_corpus_statistics(texts, [references]), dtype=np.int64)

    def value(draws: np.ndarray) -> np.ndarray:
        return np.array([metric._compute_score_from_stats(counts[draw].sum(axis=0).tolist()).score for draw in draws])

    return value


_NORMALISED = "lower case, no ASCII punctuation, no a/an/the, white space folded (SQuAD 1.1)"
_PUNCTUATION = str.maketrans("", "", string.punctuation)


class ExactMatch:
    """Share of responses that equal the reference, after normalizing both."""

    name = "exact_match"

    def unfit(self, bench: Bench) -> str | None:
        return no_answers(bench)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        texts = written(bench)
        hits = {
            side: np.array([normalised(a) == normalised(b) for a, b in zip(made, texts.references, strict=True)])
            for side, made in texts.texts.items()
        }
        return [rate_of(self.name, hits, bench.seed, settings={"normalised": _NORMALISED, **writing_settings(bench)})]


class TokenF1:
    """Mean over the rows of the F1 of the words that a response shares with its reference."""

    name = "token_f1"

    def unfit(self, bench: Bench) -> str | None:
        return no_answers(bench)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        texts = written(bench)
        sides = {
            side: mean_of([token_f1(a, b) for a, b in zip(made, texts.references, strict=True)])
            for side, made in texts.texts.items()
        }
        settings = {"normalised": _NORMALISED, **writing_settings(bench)}
        return [measure_of(self.name, sides, len(texts.references), bench.seed, settings=settings)]


def normalised(answer: str) -> str:
    """Returns an answer normalized as in SQuAD 1.1."""
    words = re.sub(r"\b(a|an|the)\b", " ", answer.lower().translate(_PUNCTUATION))
    return " ".join(words.split())


def token_f1(answer: str, reference: str) -> float:
    """Returns the F1 of the words that an answer shares with its reference; two empty ones are equal."""
    given, wanted = normalised(answer).split(), normalised(reference).split()
    if not given or not wanted:
        return float(given == wanted)
    shared = (Counter(given) & Counter(wanted)).total()
    return 2 * shared / (len(given) + len(wanted))


SHOWN = 5
"""How many samples are kept."""
# Characters of a text that are kept.
_LONGEST = 500


class Samples:
    """Keeps a few continuations; they are published, so what looks like personal data or a secret is redacted."""

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
    """Returns a warning if the tuned model has not learned to end a text, else None."""
    if "tuned" not in bench.sides:
        return None
    made = zip(bench.begun.rows, bench.continuations("tuned"), strict=True)
    stops = [one.stop_reason for row, one in made if row.tokens <= bench.max_new_tokens]
    ended = stops.count("stop token")
    if len(stops) < _FEWEST or ended >= _SELDOM * len(stops):
        return None
    return (
        f"the tuned model rarely ends a text: it ended {ended:,} of the {len(stops):,} texts whose reference ends "
        f"within {bench.max_new_tokens:,} tokens, so users must limit the length; more epochs or a higher learning "
        "rate can teach it to end texts"
    )
