"""A rater's session goes on from the file alone; whoever opens it, and after whatever."""

from pathlib import Path

import pytest

from hubtune.errors import ConfigError, DataError, RecordError
from hubtune.evaluate.human_preference import wilson
from hubtune.pipeline.context import RunContext
from hubtune.pipeline.rating import Done, check_rater, kept_pairs, pairs_of, report
from hubtune.records.ratings import RatingsRecord
from hubtune.records.results import TrainingRecord
from hubtune.records.rundir import RunDirectory
from tests.sample_ratings import FROM_TUNED, ratable_run, sample_pairs, session_of
from tests.sample_runs import finished_run, sample_config, sample_pins


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return ratable_run(tmp_path / "run", sample_pairs(12))


def rate_all(run: RunDirectory, rater: str, prefer: str) -> None:
    """Has a rater prefer whatever text begins so; of others, A."""
    session = session_of(run, rater)
    while not isinstance(trial := session.next(), Done):
        assert session.answer(trial.answered, "b" if trial.b.startswith(prefer) else "a")


def test_what_a_rater_prefers_becomes_the_win_rate(run: RunDirectory):
    rate_all(run, "ann", FROM_TUNED)

    record = report(run)
    assert (record.counts.tuned, record.counts.base, record.counts.ties) == (12, 0, 0)
    assert (record.measure.tuned, record.measure.base) == (1, 0)
    assert record.measure.tuned_interval == wilson(12, 12)
    assert run.read(RatingsRecord) == record
    assert (record.offered, record.identical) == (12, 2)


def test_a_rater_who_always_takes_the_first_text_prefers_neither_model(run: RunDirectory):
    rate_all(run, "ann", "nothing")

    assert report(run).measure.tuned == 0.5


def test_another_session_of_the_same_rater_goes_on_at_the_same_pair(run: RunDirectory):
    session = session_of(run)
    session.answer(0, "a")
    session.answer(1, "tie")

    assert session_of(run).next() == session.next()
    assert session_of(run).next().answered == 2


def test_an_undone_answer_shows_its_pair_again_as_it_was(run: RunDirectory):
    session = session_of(run)
    session.answer(0, "a")
    before = session.next()
    session.answer(1, "b")

    assert session.undo(2)
    assert session.next() == before
    assert report(run).counts.answers == 1


def test_there_is_nothing_to_undo_before_the_first_answer(run: RunDirectory):
    assert not session_of(run).undo(0)


def test_an_answer_that_comes_twice_counts_once(run: RunDirectory):
    """As from two quick key presses, or from a page that was left open."""
    first, second = session_of(run), session_of(run)
    assert first.answer(0, "a")

    assert not second.answer(0, "b")
    assert not second.undo(0)
    assert report(run).counts.answers == 1


def test_after_the_last_answer_is_taken_back_there_is_no_rate(run: RunDirectory):
    session = session_of(run)
    session.answer(0, "a")
    session.undo(1)

    with pytest.raises(RecordError, match="Nobody has rated"):
        report(run)
    assert not run.record_file(RatingsRecord).exists()


def test_raters_see_the_same_pairs_in_orders_of_their_own_and_count_together(run: RunDirectory):
    rate_all(run, "ann", FROM_TUNED)
    bob = session_of(run, "bob")
    assert bob.next() != session_of(run, "cleo").next()
    bob.answer(0, "tie")

    record = report(run)
    assert (record.counts.raters, record.counts.answers) == (2, 13)
    # Bob's tie leaves Ann's preference in the lead.
    assert (record.counts.tuned, record.counts.compared, record.counts.agreed) == (12, 1, 0)
    assert "ann" not in record.to_json()


def test_a_run_that_was_trained_again_has_no_pairs_any_more(run: RunDirectory, listener):
    session_of(run).answer(0, "a")
    run.write(run.read(TrainingRecord).model_copy(update={"final_loss": 1.0}))

    for refused in (lambda: kept_pairs(run), lambda: pairs_of(RunContext(run, listener), None), lambda: report(run)):
        with pytest.raises(RecordError, match=r"made from another training\.json") as caught:
            refused()
        assert str(run.ratings_dir) in caught.value.hint
    assert not run.has(RatingsRecord)


def test_pairs_are_made_once(run: RunDirectory, listener):
    assert pairs_of(RunContext(run, listener), None) == pairs_of(RunContext(run, listener), 14) == kept_pairs(run)
    with pytest.raises(ConfigError, match="made already, for 14 prompts"):
        pairs_of(RunContext(run, listener), 50)


def test_a_run_without_training_is_refused_with_what_to_do(tmp_path: Path, listener):
    run = RunDirectory.create(sample_config(), path=tmp_path / "run")
    run.write(sample_pins())

    with pytest.raises(RecordError, match=r"no training\.json") as caught:
        pairs_of(RunContext(run, listener), None)
    assert "hubtune train" in caught.value.hint


def test_models_that_write_the_same_leave_nothing_to_rate(tmp_path: Path, listener):
    with pytest.raises(DataError, match="nothing to prefer"):
        pairs_of(RunContext(ratable_run(tmp_path / "run", []), listener), None)


def test_a_report_without_pairs_or_answers_is_refused(tmp_path: Path, run: RunDirectory):
    for other in (finished_run(tmp_path / "other"), run):
        with pytest.raises(RecordError, match="Nobody has rated"):
            report(other)


@pytest.mark.parametrize("name", ["", " ", "../ann", "a/b", ".ann", "-ann", "a b", "a" * 41, "a\nb", "a\0"])
def test_a_name_that_could_name_another_file_is_refused(name: str):
    with pytest.raises(ConfigError, match="cannot be a rater's name"):
        check_rater(name)


@pytest.mark.parametrize("name", ["ann", " ann ", "rater-2", "Zoë", "李"])
def test_any_plain_pseudonym_will_do(name: str):
    assert check_rater(name) == name.strip()
