"""Each finding appears in a run that provokes it, and in no healthy one."""

from pathlib import Path

import pytest

from hubtune.data.segments import DropReason
from hubtune.records.data import DataRecord, SplitRecord
from hubtune.train.training import diagnose_rows
from tests.sample_runs import sample_source, saying

ROWS = tuple("{author}: {quote}".format_map(saying(number)) for number in range(24))
OTHERS = ("Zinc, quartz and onyx.", "No hive here; 1984.")
WHOLE = ("train.method=full", "publish.artifact=merged")


@pytest.mark.parametrize(
    ("overrides", "held_out", "found"),
    [
        (
            ("train.epochs=100", "train.learning_rate=0.02", "train.batch_size=16", "train.held_out_steps=50"),
            ROWS[16:],
            [],
        ),
        (("train.epochs=6", "train.learning_rate=0.9", *WHOLE), ROWS[16:], ["learning rate too high"]),
        (("train.epochs=6", "train.learning_rate=1.0e-8"), ROWS[16:], ["loss did not fall"]),
        pytest.param(
            *(("train.epochs=6", "train.learning_rate=0.003"), ROWS[16:], ["underfitting"]),
            marks=pytest.mark.full_trial,
        ),
        (("train.epochs=6", "train.learning_rate=0.05", "train.batch_size=1"), OTHERS, ["overfitting"]),
        pytest.param(
            *(("train.epochs=4", "train.learning_rate=0.05"), ROWS[16:], ["few steps"]), marks=pytest.mark.full_trial
        ),
    ],
)
def test_real_runs_show_what_was_provoked(train_on, llama: Path, overrides, held_out, found: list[str]):
    settings = ("train.batch_size=4", "train.warmup=0", "train.logging_steps=1", *overrides)

    record = train_on(llama, *settings, texts=ROWS[:16], held_out=held_out).record

    names = [finding.name for finding in record.findings]
    assert names == found or (found and found[0] in names and found[0] != "few steps")
    assert all(any(sign.isdigit() for sign in finding.evidence) and finding.advice for finding in record.findings)


def _data(rows: int, **dropped: int) -> DataRecord:
    counts = {DropReason[name].text: count for name, count in dropped.items()}
    return DataRecord(
        upstream={},
        sources=[sample_source(rows=rows, kept=rows - sum(counts.values()), dropped=counts)],
        train=SplitRecord(rows=32, tokens=320, truncated=0),
        held_out=SplitRecord(rows=8, tokens=80, truncated=0),
        split_method="by hash",
        max_length=64,
    )


def test_rows_that_could_not_be_used_are_told_with_their_number_the_reason_and_what_to_do():
    (finding,) = diagnose_rows(_data(1000, BLANK=90, NULL=20, DUPLICATE=300))

    assert finding.name == "rows dropped"
    assert finding.evidence == "110 of 1,000 rows (11%) could not be used, 90 because a field is blank"
    assert finding.advice == "Fill in the field, or remove such rows from the data."


@pytest.mark.parametrize("dropped", [{}, {"BLANK": 30}, {"DUPLICATE": 600, "HELD_OUT": 50}])
def test_a_few_odd_rows_and_those_left_out_on_purpose_are_no_finding(dropped: dict[str, int]):
    assert diagnose_rows(_data(1000, **dropped)) == []
