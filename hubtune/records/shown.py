"""Rows as the model will see them. `hubtune data show` prints this, and writes no file."""

from typing import Literal

from hubtune.records.base import Record
from hubtune.records.data import DataRecord


class ShownRow(Record):
    """One row.

    Attributes:
        part: Whether the row is trained on or held out.
        input_ids: Its token ids.
        labels: The ids again where they carry loss, and -100 elsewhere; of a row to classify, the ids of its classes.
        text: Its text.
        tokens: The text of each token.
        truncated: Whether it was cut to the length limit.
    """

    part: Literal["train", "held-out"]
    input_ids: list[int]
    labels: list[int]
    text: str
    tokens: list[str]
    truncated: bool


class ShownRows(Record):
    """The first rows of a run's data, and what the data record would say of all."""

    rows: list[ShownRow]
    data: DataRecord
