"""The records of human evaluation: the pairs that raters see, what they answer, and what the answers come to."""

from typing import Literal

from pydantic import Field

from hubtune.records.base import Record
from hubtune.records.evaluation import Measure
from hubtune.records.training import EnvironmentRecord

RATINGS = "ratings"
"""Folder in a run directory that holds the pairs, and a file of answers for each rater."""

Side = Literal["base", "tuned"]
Answer = Literal["a", "b", "tie"]


class Pair(Record):
    """What both models wrote after the same prompt. Raters see the two texts as A and B, and not whose they are."""

    prompt: str
    base: str
    tuned: str


class PairsRecord(Record):
    """The pairs of a run, made once, so that every rater sees the same texts.

    Attributes:
        upstream: Digests of the data record and of the training record.
        asked: How many prompts were asked for.
        prompts: How many there were: distinct ones of held-out rows.
        identical: Prompts after which both models wrote the same; there is nothing to prefer.
        too_long: Prompts that would have left no room to write; others were taken in their place where there were any.
        max_new_tokens: The most tokens that a model might write.
        precision: What the base model's weights were held in.
        seed: Of the choice of rows, and of the order in which raters see them.
    """

    upstream: dict[str, str]
    asked: int
    prompts: int
    identical: int
    too_long: int
    max_new_tokens: int
    precision: str
    seed: int
    environment: EnvironmentRecord
    pairs: list[Pair]


class Rating(Record):
    """One line of a rater's file.

    Attributes:
        pairs: sha256 of the file of pairs that the answer is about.
        pair: Number of the pair in that file, counted from 0.
        a: Whose text was shown as A.
        answer: Which text is better, or `tie`; `undone` takes back the last answer that still counts.
        time: When, in UTC.
    """

    pairs: str
    pair: int = Field(ge=0)
    a: Side
    answer: Literal["a", "b", "tie", "undone"]
    time: str

    @property
    def choice(self) -> Literal["base", "tuned", "tie"]:
        """Whose text is better, or `tie`."""
        if self.answer not in ("a", "b"):
            return "tie"
        return self.a if self.answer == "a" else "base" if self.a == "tuned" else "tuned"


class Counts(Record):
    """What the raters preferred, pair by pair: each pair counts once, for the side that more of its raters preferred.

    Attributes:
        raters: How many people answered.
        answers: Their answers in all, ties included.
        tuned: Pairs where the tuned model's text is preferred.
        base: Pairs where the base model's is.
        ties: Pairs where neither is.
        compared: How often two raters answered for the same pair.
        agreed: How often they answered the same.
    """

    raters: int = Field(ge=0)
    answers: int = Field(ge=0)
    tuned: int = Field(ge=0)
    base: int = Field(ge=0)
    ties: int = Field(ge=0)
    compared: int = Field(ge=0)
    agreed: int = Field(ge=0)


class RatingsRecord(Record):
    """What the answers of all raters come to; their names are in none of its fields.

    Attributes:
        upstream: Digests of the data record and of the training record.
        pairs: sha256 of the file of pairs, which is not published.
        offered: How many pairs there were to rate.
        identical: Prompts after which both models wrote the same, which nobody rated.
        max_new_tokens: The most tokens of a text.
        precision: What the base model's weights were held in.
        measure: The win rate.
    """

    upstream: dict[str, str]
    pairs: str
    offered: int
    identical: int
    max_new_tokens: int
    precision: str
    counts: Counts
    measure: Measure
