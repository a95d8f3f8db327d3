"""What is known of a data set's encoded rows beside the rows themselves; it lies beside them in the cache."""

from pydantic import Field

from hubtune.config.data import FormatName, LossOn
from hubtune.config.screening import PersonalKind
from hubtune.records.base import Record


class LeftOutRecord(Record):
    """Rows that were left out for one reason.

    Attributes:
        reason: The name of the reason in the code.
        first: The number of the first of them, from 1.
        detail: What is known of that one beyond the reason.
    """

    reason: str
    count: int
    first: int
    detail: str


class ScreenedRecord(Record):
    """What was found of one kind of personal data; `first` is the number of the first row with it, or 0."""

    kind: PersonalKind
    rows: int
    hits: int
    dropped: int
    redacted: int
    first: int


class EncodedRecord(Record):
    """One data set, encoded.

    Attributes:
        rows: Rows read. It equals the kept rows and those left out.
        files: The sha256 of each file that was read, by its path in the data set.
        columns: The column of each part of a row.
        labels: The class names in the order of their ids; null where rows are not to be classified.
        chat_template: The template that wrote the rows, where one did.
        prompt: An example of what to ask the tuned model.
        separator: What separates the cells of CSV files; null for others.
        screened_rows: Rows that were counted in `screened`.
        size: Bytes of the file with the rows.
        sha256: Of that file.
    """

    rows: int
    kept: int
    files: dict[str, str]
    format: FormatName
    columns: dict[str, str]
    template: str | None
    loss_on: LossOn
    inferred: bool
    labels: list[str] | None
    several_labels: bool
    chat_template: str | None
    prompt: str | None
    separator: str | None = None
    warnings: list[str]
    left_out: list[LeftOutRecord]
    screened_rows: int
    screened: list[ScreenedRecord]
    size: int = Field(ge=0)
    sha256: str
