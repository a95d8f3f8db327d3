"""Rows to classify: a text or a pair of texts, and a label by name or id, or several of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hubtune.data.faults import Reason, RowFaultError
from hubtune.data.formats.choice import RowFormat
from hubtune.data.pieces import Classified, checked_text

_MOST_IDS = 1000
"""Larger numbers in a file of text are codes: names, and not places in a list of classes."""


@dataclass(frozen=True)
class LabelSet:
    """The classes of a data set.

    Attributes:
        names: Their names, in the order of their ids.
        several: Whether a row holds a list of labels.
    """

    names: tuple[str, ...]
    several: bool

    def ids(self, value: object) -> tuple[int, ...]:
        """Returns the ids of a row's labels, in order.

        Raises:
            RowFaultError: A label is missing or unknown.
        """
        if value is None:
            raise RowFaultError(Reason.NULL)
        if self.several:
            if not isinstance(value, list):
                raise RowFaultError(Reason.LABEL, repr(value))
            return tuple(sorted({self._id(label) for label in value}))
        return (self._id(value),)

    def _id(self, label: object) -> int:
        if isinstance(label, bool):
            label = int(label)
        if isinstance(label, int) and 0 <= label < len(self.names):
            return label
        if isinstance(label, str) and label in self.names:
            return self.names.index(label)
        if isinstance(label, str) and _is_id(label) and int(label) < len(self.names):
            return int(label)
        if isinstance(label, int) and str(label) in self.names:
            return self.names.index(str(label))
        raise RowFaultError(Reason.LABEL, repr(label)[:60])


def classify(row: Mapping[str, object], chosen: RowFormat, labels: LabelSet) -> Classified:
    """Reads a row to classify.

    Raises:
        RowFaultError: The row cannot be used.
    """
    text = checked_text(row[chosen.columns["text"]])
    pair = checked_text(row[chosen.columns["text_pair"]]) if "text_pair" in chosen.columns else None
    return Classified(text, pair, labels.ids(row[chosen.columns["label"]]))


def find_labels(values: Iterable[object], *, of_text: bool = False) -> LabelSet:
    """Returns the label set that a column's values make: names by the alphabet, or ids from 0 to the largest.

    Args:
        values: What the rows hold.
        of_text: Whether they come from a file in which everything is text, so that ids are, too.
    """
    several, names, ids = False, set[str](), set[int]()
    for value in values:
        several = several or isinstance(value, list)
        for label in value if isinstance(value, list) else [value]:
            if isinstance(label, str) and label:
                names.add(label)
            elif isinstance(label, int):
                ids.add(int(label))
    if of_text and names and all(_is_id(name) for name in names) and max(map(int, names)) < _MOST_IDS:
        names, ids = set(), {int(name) for name in names}
    if names:
        return LabelSet(tuple(sorted(names)), several)
    return LabelSet(tuple(str(number) for number in range(max(ids, default=-1) + 1)), several)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and (text == "0" or text[0] != "0") and len(text) < 10
