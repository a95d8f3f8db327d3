"""The data record: which rows were used, which were dropped and why, and how they were split."""

from hubtune.records.base import Record
from hubtune.records.pins import Commit


class SourceRecord(Record):
    """One data set as it was read.

    Attributes:
        rows: Rows of the split. It equals the kept rows and all the dropped ones.
        dropped: Number of rows left out, by reason.
        languages: Language codes that the data set's card states, as it states them.
        prompt: The first kept row's text up to its last field: how a prompt for the tuned model begins. Null where the
            template has one field.
        fingerprint: sha256 over the kept rows' texts in order, so that a later stage knows that it reads the same.
    """

    repo: str
    commit: Commit
    name: str | None
    split: str
    format: str
    template: str
    rows: int
    kept: int
    dropped: dict[str, int]
    languages: list[str]
    prompt: str | None
    fingerprint: str


class SplitRecord(Record):
    """The rows of the training or the held-out part.

    Attributes:
        rows: Rows that are used.
        tokens: Their tokens, end-of-sequence tokens included.
        truncated: How many of them were cut to the length limit.
        left_out: Rows of the part beyond `evaluate.max_items`, which are not used for anything.
    """

    rows: int
    tokens: int
    truncated: int
    left_out: int = 0


class DataRecord(Record):
    """What the data stage did; `upstream` holds the digests of the config's sections and of the pins it used.

    Attributes:
        max_length: Tokens that a row was cut to, EOS included: the config's limit, or the model's where that is less.
    """

    upstream: dict[str, str]
    sources: list[SourceRecord]
    train: SplitRecord
    held_out: SplitRecord
    split_method: str
    max_length: int
