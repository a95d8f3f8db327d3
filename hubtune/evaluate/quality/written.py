"""What all metrics of written text share: the same pass of generation, the rows' own words, and how both were made."""

from dataclasses import dataclass

from hubtune.evaluate.bench import Bench, Side


@dataclass(frozen=True)
class Written:
    """Texts to compare, one line each: runs of white space are folded to a space, as a file of lines would have them.

    Attributes:
        references: What each row says.
        texts: What each side wrote there.
    """

    references: list[str]
    texts: dict[Side, list[str]]


def written(bench: Bench) -> Written:
    """Has every side go on from the held-out rows, once for all metrics."""
    texts = {side: [_one_line(made.text) for made in bench.continuations(side)] for side in bench.sides}
    return Written([_one_line(row.reference) for row in bench.begun.rows], texts)


def writing_settings(bench: Bench) -> dict[str, str]:
    """Returns how the texts were made, for a measure's settings."""
    return {"given": bench.begun.given, "decoding": f"greedy, at most {bench.max_new_tokens} new tokens"}


def no_text(bench: Bench) -> str | None:
    """Returns why nothing is written on this bench, None where something is."""
    if bench.classes:
        return "the model classifies texts and cannot write any"
    return None if bench.begun.rows else "no held-out row has a beginning that a model could continue"


def no_answers(bench: Bench) -> str | None:
    """Returns why there are no answers to compare with, None where there are."""
    return no_text(bench) or (None if bench.begun.asked else "the rows are no prompts with responses")


def _one_line(text: str) -> str:
    return " ".join(text.split())
