"""What the detectors find and miss, measured on texts labeled before there were detectors, and after."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import pytest

from hubtune.config.data import ScreenConfig
from hubtune.data.screening.detectors import Detectors
from hubtune.data.screening.screen import ACCURACY, Accuracy
from tests.data.screening.labelled import later, seen, styles, styles_absent, unseen
from tests.data.screening.labelled.marks import SETS, unmarked


@dataclass(frozen=True)
class Measured:
    right: int
    missed: tuple[str, ...]
    wrong: tuple[str, ...]

    @property
    def precision(self) -> float:
        return self.right / (self.right + len(self.wrong))

    @property
    def recall(self) -> float:
        return self.right / (self.right + len(self.missed))


def measure(kind: str, texts: Iterable[tuple[str, str]]) -> Measured:
    """Counts over texts of every kind, each with its own: a value of another kind is a hard negative too."""
    detectors = Detectors.make(ScreenConfig().phone_regions)
    right, missed, wrong = 0, [], []
    for name, marked in texts:
        text, places = unmarked(marked)
        wanted = places if name == kind else set()
        found = {(span.start, span.end) for span in detectors.find(text) if span.kind == kind}
        right += len(wanted & found)
        missed += [text[slice(*place)] + " in " + text for place in wanted - found]
        wrong += [text[slice(*place)] + " in " + text for place in found - wanted]
    return Measured(right, tuple(missed), tuple(wrong))


Texts = list[tuple[str, str]]


def labelled(present: Mapping[str, Iterable[str]], absent: Iterable[Iterable[str]]) -> Texts:
    texts = [(kind, text) for kind, own in present.items() for text in own]
    return [*texts, *(("none", text) for own in absent for text in own)]


LABELLED: dict[str, Texts] = {
    "first": labelled({kind: module.PRESENT for kind, module in SETS.items()}, [m.ABSENT for m in SETS.values()]),
    "later": labelled(later.PRESENT, [later.ABSENT]),
    "styles": labelled(styles.PRESENT, styles_absent.ABSENT.values()),
    "seen": labelled(seen.PRESENT, seen.ABSENT.values()),
    "unseen": labelled(unseen.PRESENT, unseen.ABSENT.values()),
}
BOUND = [(kind, name) for name, texts in LABELLED.items() if name != "unseen" for kind in SETS if kind in dict(texts)]


@cache
def measured(kind: str, name: str) -> Measured:
    return measure(kind, LABELLED[name])


@pytest.mark.parametrize("kind", SETS)
def test_the_labelled_sets_are_large_enough(kind: str):
    assert min(len(SETS[kind].PRESENT), len(SETS[kind].ABSENT)) >= 30
    assert min(len(styles.PRESENT[kind]), len(styles_absent.ABSENT[kind])) >= 30


@pytest.mark.parametrize(("kind", "name"), BOUND)
def test_precision(kind: str, name: str):
    assert measured(kind, name).precision >= 0.95, measured(kind, name).wrong


@pytest.mark.parametrize(("kind", "name"), BOUND)
def test_recall(kind: str, name: str):
    assert measured(kind, name).recall >= 0.9, measured(kind, name).missed


@pytest.mark.parametrize("kind", SETS)
def test_cards_tell_what_is_measured_on_texts_that_the_detectors_were_not_made_with(kind: str):
    found = measured(kind, "unseen")
    labelled = found.right + len(found.missed)
    assert ACCURACY[kind] == Accuracy(labelled=labelled, right=found.right, wrong=len(found.wrong)), found


def test_names_addresses_and_diagnoses_are_not_found():
    text = "Ada Brown of 4 Elm Street, Leeds, was treated for asthma in May."
    assert Detectors.make(["US", "GB"]).find(text) == []
