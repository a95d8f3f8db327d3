"""How good the detectors are on labelled texts that were written after them; the tests measure it and compare.

On the texts that they were made with they do better, which says little about others.
"""

from dataclasses import dataclass

from hubtune.config.screening import PersonalKind


@dataclass(frozen=True)
class Accuracy:
    """What a detector finds among labelled values, in short texts: logs, settings, code, tables, chats and prose.

    Attributes:
        labelled: Values that are to be found.
        right: Those that are found from their first to their last character.
        wrong: Findings that are none, or not the whole value.
    """

    labelled: int
    right: int
    wrong: int

    @property
    def precision(self) -> float:
        """Share of findings that are right."""
        return self.right / (self.right + self.wrong)

    @property
    def recall(self) -> float:
        """Share of the labelled values that are found."""
        return self.right / self.labelled


ACCURACY: dict[PersonalKind, Accuracy] = {
    "email": Accuracy(labelled=13, right=13, wrong=0),
    "phone": Accuracy(labelled=13, right=12, wrong=1),
    "card_number": Accuracy(labelled=12, right=12, wrong=0),
    "iban": Accuracy(labelled=13, right=13, wrong=0),
    "ip_address": Accuracy(labelled=24, right=24, wrong=0),
    "secret": Accuracy(labelled=22, right=19, wrong=0),
}
