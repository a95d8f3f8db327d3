"""The records of human evaluation: the pairs that raters see, their answers, and the result of all answers."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import Field, ValidationError

from hubtune.errors import RecordError
from hubtune.files import file_errors
from hubtune.records.base import Record
from hubtune.records.results import EnvironmentRecord, Measure

RATINGS = "ratings"
"""Folder in a run directory that holds the pairs, and a file of answers for each rater."""

Side = Literal["base", "tuned"]
Answer = Literal["a", "b", "tie"]
SUFFIX = ".jsonl"


class RatingPair(Record):
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
        too_long: Prompts that would have left no room to write; others were taken instead if there were any.
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
    pairs: list[RatingPair]


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
        """The model whose text is better, or `tie`."""
        if self.answer not in ("a", "b"):
            return "tie"
        return self.a if self.answer == "a" else "base" if self.a == "tuned" else "tuned"


class Counts(Record):
    """What the raters preferred, pair by pair: each pair counts once, for the side that more of its raters preferred.

    Attributes:
        raters: How many people answered.
        answers: Their answers in all, ties included.
        tuned: Pairs in which the tuned model's text is preferred.
        base: Pairs in which the base model's is.
        ties: Pairs in which neither is.
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


@dataclass(frozen=True)
class Answers:
    """The contents of an answer file.

    Attributes:
        given: The answers that count, in the order in which they were given; those that were undone are left out.
        cut_off: Whether the file ends in part of a line, as when the program was killed while it wrote.
    """

    given: tuple[Rating, ...]
    cut_off: bool = False


class AnswerFile:
    """The answers of one rater to one set of pairs.

    Args:
        path: The file, which need not exist.
        pairs: sha256 of the pairs.
        count: How many pairs there are.
    """

    def __init__(self, path: Path, pairs: str, count: int) -> None:
        self.path = path
        self._pairs = pairs
        self._count = count

    @property
    def rater(self) -> str:
        """The rater."""
        return self.path.name.removesuffix(SUFFIX)

    def read(self) -> Answers:
        """Reads the answers.

        Raises:
            RecordError: A line is damaged, or is about other pairs; the message names file and line.
        """
        return self._parse(self.path.read_bytes()) if self.path.is_file() else Answers(())

    def append(self, make: Callable[[tuple[Rating, ...]], Rating | None]) -> Rating | None:
        """Adds the answer that `make` returns for the current answers; no other process can add one in between.

        Args:
            make: Returns what to add, or None for nothing.

        Returns:
            What was added; it is on the disk.

        Raises:
            RecordError: As `read`.
            DiskFullError: There is no room; the file is as it was.
        """
        with file_errors(self.path.parent, hint="The answers so far are kept; continue when the file can be written."):
            self.path.parent.mkdir(exist_ok=True)
            with _locked(self.path) as file:
                content = file.read()
                rating = make(self._parse(content).given)
                if rating is None:
                    return None
                whole = _whole(content)
                file.truncate(len(whole))
                file.seek(len(whole))
                try:
                    file.write(rating.model_dump_json().encode() + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    os.ftruncate(file.fileno(), len(whole))
                    raise
            return rating

    def _parse(self, content: bytes) -> Answers:
        whole = _whole(content)
        given: list[Rating] = []
        for number, line in enumerate(whole.splitlines(), start=1):
            rating = self._rating(line, number)
            if rating.answer != "undone":
                given.append(rating)
            elif given:
                given.pop()
        return Answers(tuple(given), cut_off=len(whole) < len(content))

    def _rating(self, line: bytes, number: int) -> Rating:
        try:
            rating = Rating.model_validate_json(line)
        except ValidationError as error:
            raise RecordError(
                f"Line {number} of {self.path} is not an answer.",
                hint="Restore the file from a copy, or delete that line: its answer is then asked for again.",
            ) from error
        if rating.pairs != self._pairs or rating.pair >= self._count:
            raise RecordError(
                f"Line {number} of {self.path} answers for other pairs than those that the run holds.",
                hint=f"Move {self.path} elsewhere, then rate again.",
            )
        return rating


def _whole(content: bytes) -> bytes:
    """Returns the lines that were written to their ends."""
    return content[: content.rfind(b"\n") + 1]


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    with os.fdopen(descriptor, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if new:
            _sync_folder(path.parent)
        yield file


def _sync_folder(folder: Path) -> None:
    # Else a power cut could lose the name of the new file, with all answers in it.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
