"""Labels are names or ids, one or several a row, and become ids in one order."""

import pytest

from hubtune.data.formats.row_format import LabelSet, find_labels
from hubtune.data.segments import DroppedRowError, DropReason


def test_names_are_ordered_by_the_alphabet():
    labels = find_labels(["good", "bad", "good"])

    assert (labels.names, labels.several) == (("bad", "good"), False)
    assert labels.ids("good") == (1,)


def test_ids_count_from_zero_to_the_largest():
    assert find_labels([2, 0, 2]).names == ("0", "1", "2")
    assert find_labels([True, False]).names == ("0", "1")


def test_a_row_may_have_several_or_no_labels():
    labels = find_labels([["b", "a"], [], ["b"]])

    assert labels == LabelSet(("a", "b"), several=True)
    assert (labels.ids(["b", "a", "b"]), labels.ids([])) == ((0, 1), ())


@pytest.mark.parametrize("label", ["other", 2, -1, 0.5, ["good"], ""])
def test_an_unknown_label_is_refused(label: object):
    with pytest.raises(DroppedRowError) as caught:
        LabelSet(("bad", "good"), several=False).ids(label)

    assert caught.value.reason is DropReason.LABEL


def test_a_missing_label_is_a_null():
    with pytest.raises(DroppedRowError) as caught:
        LabelSet(("bad", "good"), several=False).ids(None)

    assert caught.value.reason is DropReason.NULL


def test_names_and_ids_may_stand_for_the_same_class():
    labels = LabelSet(("bad", "good"), several=False)

    assert labels.ids("good") == labels.ids(1) == labels.ids(True)
