"""Memorization: how many rows a model completes word for word from their beginning (Carlini et al., 2023)."""

import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hubtune.config.data import PersonalKind
from hubtune.data.screening.detectors import Detectors
from hubtune.data.screening.spans import Span
from hubtune.data.split import seeded
from hubtune.data.tokenization import IGNORED, Example
from hubtune.evaluate.bench import Bench, Side, likelihoods
from hubtune.evaluate.intervals import rate_of, wilson
from hubtune.models.pretrained import pad_id
from hubtune.records.results import Measure

LEAST = 300
"""Rows of each part; as many are drawn, since more would take longer and say little more."""
LONGEST, SHORTEST = 50, 10
"""Tokens of a suffix: what published figures use, and what a chance hit is unlikely to reach."""
# So that a dataset of short rows is not read to its end in search of long ones.
_LOOKED_AT = 20 * LEAST
SUFFIX = (
    f"the last target tokens of a row before its end, at least {SHORTEST}, at most {LONGEST} and at most half of the "
    "row's tokens"
)
_EXCESS = "95% Newcombe hybrid score interval of each model's difference between training and held-out rows"


@dataclass(frozen=True)
class Drawn:
    """Rows whose suffix is predicted: only the suffix has labels.

    Attributes:
        lengths: Tokens of each suffix.
        short: Rows that were looked at and left out, since their suffix would be too short.
    """

    rows: list[Example]
    lengths: list[int]
    short: int


class Memorisation:
    """The share of training and of held-out rows whose suffix is the greedy continuation of the text before it."""

    name = "memorisation"
    group = "privacy"

    def unfit(self, bench: Bench) -> str | None:
        """Returns a reason if the model is a classifier."""
        return "a classifier generates no text" if bench.classes else None

    def measure(self, bench: Bench) -> Sequence[Measure]:
        """Measures training rows and held-out rows, and the difference of their rates."""
        drawn = {
            "train": draw(bench.train, bench.seed, bench.max_items),
            "held-out": draw(bench.held_out, bench.seed, bench.max_items),
        }
        given_back = {split: reproduced(bench, part.rows, split) for split, part in drawn.items()}
        names = {"train": self.name, "held-out": f"{self.name}_held_out"}
        rates = [_rate(names[split], split, drawn[split], given_back[split], bench.seed) for split in drawn]
        return [*rates, _excess(f"{self.name}_excess", given_back, rates)]


def suffix_length(example: Example) -> int:
    """Returns the number of tokens of a row's suffix; 0 if it is too short.

    A BOS before the row and the token that ends it count for nothing. Tokens that carry no loss, such as a prompt's,
    were not learned, so the suffix begins after the last of them.
    """
    tokens = len(example.input_ids) - 1
    learnt = 0
    while learnt < tokens and example.labels[tokens - 1 - learnt] != IGNORED:
        learnt += 1
    length = min(LONGEST, tokens // 2, learnt)
    return length if length >= SHORTEST else 0


def draw(rows: Sequence[Example], seed: int, most: int | None) -> Drawn:
    """Samples up to `LEAST` rows that are long enough, or `most` if that is less.

    Args:
        rows: The part to draw from; only rows that are looked at are read.
        seed: Of the drawing.
        most: The most rows that the config lets be measured; None if it sets no limit.
    """
    wanted = LEAST if most is None else min(LEAST, most)
    numbers = seeded(seed).sample(range(len(rows)), min(len(rows), _LOOKED_AT))
    drawn = Drawn([], [], 0)
    for number in numbers:
        if len(drawn.rows) == wanted:
            break
        example = rows[number]
        length = suffix_length(example)
        if length == 0:
            drawn = replace(drawn, short=drawn.short + 1)
            continue
        ids = example.input_ids
        # The end of the row is cut off: how it ends is not part of what is given back.
        labels = [*[IGNORED] * (len(ids) - 1 - length), *ids[-1 - length : -1]]
        drawn.rows.append(Example("", ids[:-1], labels, truncated=False))
        drawn.lengths.append(length)
    return drawn


def reproduced(bench: Bench, rows: Sequence[Example], split: str) -> dict[Side, npt.NDArray[np.bool_]]:
    """Returns for each side of the bench whether all counted tokens of each row are the most likely ones.

    This is the case exactly if greedy decoding gives them from the tokens before; it costs one pass over the row.
    """
    found: dict[Side, npt.NDArray[np.bool_]] = {}
    for side in bench.sides:
        batches = -(-len(rows) // bench.batch_size)
        label = f"Memorization, {split} rows, {side}"
        with bench.progress.task(label, batches) as task, bench.sides[side]() as model:
            scored = likelihoods(model, rows, pad_id(bench.tokenizer), bench.batch_size, task.advance)
        found[side] = scored.correct == scored.tokens
    return found


def newcombe(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float]:
    """Returns the 95% interval of the difference of two rates of different items (Newcombe, 1998, method 10).

    Args:
        first: Hits and items of the rate that is taken from.
        second: Those of the other, which is subtracted.
    """
    (rate_1, low_1, high_1), (rate_2, low_2, high_2) = ((h / n, *wilson(h, n)) for h, n in (first, second))
    difference = rate_1 - rate_2
    return (
        max(-1.0, difference - math.hypot(rate_1 - low_1, high_2 - rate_2)),
        min(1.0, difference + math.hypot(high_1 - rate_1, rate_2 - low_2)),
    )


def _rate(name: str, split: str, drawn: Drawn, hits: Mapping[Side, npt.NDArray[np.bool_]], seed: int) -> Measure:
    full = sum(length == LONGEST for length in drawn.lengths)
    settings = {
        "suffix": SUFFIX,
        "suffix_tokens": f"{min(drawn.lengths)} to {max(drawn.lengths)}" if drawn.lengths else "none",
        f"rows_with_{LONGEST}": str(full),
        "too_short": str(drawn.short),
        "decoding": "greedy",
    }
    few = f"{drawn.short:,} of the sampled rows are too short" if drawn.short else "there are no more rows"
    measure = rate_of(name, hits, seed, least=LEAST, group="privacy", split=split, settings=settings)
    if measure.status == "insufficient data":
        return measure.model_copy(
            update={"detail": f"{measure.n:,} rows were measured; at least {LEAST:,} are needed, but {few}"}
        )
    return measure


def _excess(name: str, given_back: Mapping[str, Mapping[Side, npt.NDArray[np.bool_]]], rates: list[Measure]) -> Measure:
    train, held_out = given_back["train"], given_back["held-out"]
    items = sum(measure.n for measure in rates)
    empty = any(measure.n == 0 for measure in rates)
    differences: dict[str, object] = {}
    for side in () if empty else train:
        one, other = ((int(part[side].sum()), len(part[side])) for part in (train, held_out))
        differences |= {side: one[0] / one[1] - other[0] / other[1], f"{side}_interval": newcombe(one, other)}
    states = {measure.status for measure in rates}
    status = "failed" if "failed" in states else "measured" if states == {"measured"} else "insufficient data"
    detail = next((measure.detail for measure in rates if measure.status == status and status != "measured"), None)
    return Measure.model_validate(
        {
            "name": name,
            "group": "privacy",
            "split": "train against held-out",
            "n": items,
            "base": None,
            "tuned": None,
            **(differences if status != "failed" else {}),
            "interval": None,
            "interval_method": _EXCESS if not empty else None,
            "status": status,
            "detail": detail,
        }
    )


Value = tuple[PersonalKind, str]
"""A kind, and what was found in a form that two spellings have in common."""
# Of a telephone number these say who is called; a country's code or a zero can be before them.
_PHONE_DIGITS = 9


def value_of(text: str, span: Span) -> Value:
    """Returns a finding in the normal form in which values are compared."""
    found = unicodedata.normalize("NFKC", text[span.start : span.end])
    return span.kind, _FORMS[span.kind](found)


def known_values(
    values: Iterable[Value], rows: Sequence[Example], detectors: Detectors, on_row: Callable[[], None] = lambda: None
) -> set[Value]:
    """Returns the values that the detectors also find in the rows.

    Rows are read until all are found. Only a row that has the value's characters is searched by the detectors, which
    take much longer than looking for characters.
    """
    missing = set(values)
    found: set[Value] = set()
    for example in rows:
        if not missing:
            break
        bare = _bare(example.text)
        if any(_bare(_telling(value)) in bare for value in missing):
            here = {value_of(example.text, span) for span in detectors.find(example.text)}
            found |= missing & here
            missing -= here
        on_row()
    return found


def _telling(value: Value) -> str:
    kind, text = value
    # Behind the name, an address can be spelled in other characters: `ann [at] example [dot] com`.
    return text.partition("@")[0] if kind == "email" else text


def _email(text: str) -> str:
    folded = text.casefold().replace("%40", "@")
    for open_, close in ("()", "[]"):
        for word, sign in (("at", "@"), ("@", "@"), ("dot", "."), (".", ".")):
            for inner in (f"{open_}{word}{close}", f"{open_} {word} {close}"):
                folded = folded.replace(f" {inner} ", sign).replace(inner, sign)
    return "".join(folded.split())


def _phone(text: str) -> str:
    return _digits(text)[-_PHONE_DIGITS:]


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


def _letters_and_digits(text: str) -> str:
    return "".join(character for character in text.upper() if character.isalnum())


def _address(text: str) -> str:
    return text.casefold()


def _exact(text: str) -> str:
    return text


def _bare(text: str) -> str:
    # What all the forms leave out or change is gone from both sides.
    return "".join(character for character in unicodedata.normalize("NFKC", text).casefold() if character.isalnum())


_FORMS: dict[PersonalKind, Callable[[str], str]] = {
    "email": _email,
    "phone": _phone,
    "card_number": _digits,
    "iban": _letters_and_digits,
    "ip_address": _address,
    "secret": _exact,
}
