"""Rows are shown token by token, with what carries loss set apart, in color or without."""

from hubtune.cli.data import shown_lines
from hubtune.records.data import DataRecord, ShownRow, ShownRows, SplitRecord
from tests.sample_runs import sample_source

TOKENS = ["Ask", "\n", "ans", "wer", "<eos>"]


def _shown(labels: list[int], classes: list[str] | None = None, tokens: list[str] = TOKENS, **source) -> ShownRows:
    row = ShownRow(
        part="train", input_ids=[5, 6, 7, 8, 2], labels=labels, text="Ask\nanswer", tokens=tokens, truncated=False
    )
    counts = dict.fromkeys(classes or [], 3)
    part = SplitRecord(rows=6, tokens=30, truncated=0, classes=counts)
    data = DataRecord(
        upstream={},
        sources=[sample_source(**source)],
        train=part,
        held_out=part,
        split_method="by hash",
        max_length=64,
        labels=classes,
    )
    return ShownRows(rows=[row], data=data)


def test_without_colour_what_carries_loss_stands_in_brackets():
    head, tokens, *_ = shown_lines(_shown([-100, -100, 7, 8, 2]), color=False)

    assert head == "Row 1 (train): 5 tokens, 3 target tokens"
    assert tokens == "Ask|\\n|[ans]|[wer]|[<eos>]"


def test_with_colour_what_carries_loss_is_green_and_the_rest_dim():
    _, tokens, *_ = shown_lines(_shown([-100, -100, 7, 8, 2]), color=True)

    assert "\x1b[32m\x1b[1mans\x1b[0m" in tokens
    assert "\x1b[2mAsk\x1b[0m" in tokens
    assert "[ans]" not in tokens


def test_what_a_terminal_would_obey_is_shown_as_text():
    _, tokens, *_ = shown_lines(_shown([5, 6, 7, 8, 2], tokens=["\x1b]0;x", "\a", "\u202e", "é", "z"]), color=False)

    assert tokens == r"[\x1b]0;x]|[\x07]|[\u202e]|[é]|[z]"


def test_left_out_rows_are_told_with_the_first_of_each_reason():
    lines = list(
        shown_lines(
            _shown(
                [5, 6, 7, 8, 2],
                rows=43,
                kept=40,
                dropped={"a field is null": 3},
                first_dropped={"a field is null": 1_017},
                inferred=True,
            ),
            color=False,
        )
    )

    assert (
        "org/sayings: format template, inferred from its columns, loss on all; 40 of 43 rows kept; "
        "3 dropped: a field is null (first: row 1,017)"
    ) in lines


def test_a_row_to_classify_is_shown_with_its_label_and_the_balance_of_all():
    lines = list(shown_lines(_shown([1], ["bad", "good"]), color=False))

    assert lines[0] == "Row 1 (train): 5 tokens, label good (1)"
    assert lines[1] == "Ask|\\n|ans|wer|<eos>"
    assert "train: 6 rows, 30 tokens, 3 bad, 3 good" in lines
