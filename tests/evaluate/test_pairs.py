"""The pairs hold what each model alone writes after prompts that training did not see."""

from pathlib import Path

import pytest

from hubtune.data.tokenization import IGNORED, Example
from hubtune.errors import DataError, EmptySplitError
from hubtune.evaluate.evaluation import EvaluationJob
from hubtune.evaluate.human_preference import make_pairs, prompt_of
from hubtune.evaluate.measurement import MeasuredRows
from hubtune.models.generation import complete, safe_generation_config
from hubtune.models.pretrained import PinnedBase, load_base, load_tokenizer
from hubtune.records.ratings import PairsRecord
from hubtune.records.rundir import RunDirectory
from hubtune.train.methods.method import save_adapter
from tests.encoding import encode
from tests.evaluate.conftest import rows
from tests.sample_runs import BASE_REPO, sample_config, sample_pins, training_record


@pytest.fixture
def tiny_model(gpt2: Path) -> Path:
    return gpt2


@pytest.fixture
def make(tmp_path: Path, tuned, tiny_model: Path, listener):
    """Makes pairs with an adapter that acts."""
    run = RunDirectory.create(sample_config(), path=tmp_path / "run")
    run.write(sample_pins())
    save_adapter(tuned, run.adapter_dir)

    def made(held_out: list[Example], count: int = 3) -> PairsRecord:
        base = PinnedBase(sample_pins().base, tiny_model, load_tokenizer(tiny_model, BASE_REPO))
        job = EvaluationJob(run, base, training_record(), MeasuredRows([], held_out), listener)
        return make_pairs(job, count)

    return made


def test_each_side_is_what_its_model_writes_alone_with_the_release_s_settings(make, tuned, tiny_model: Path):
    record = make(rows(tiny_model))

    tokenizer = load_tokenizer(tiny_model, BASE_REPO)
    prompts = {tokenizer.decode(prompt_of(row)): prompt_of(row) for row in rows(tiny_model)}
    assert (record.prompts, record.asked, len(record.pairs) + record.identical) == (3, 3, 3)
    assert record.pairs
    settings = safe_generation_config(tiny_model, tokenizer, BASE_REPO)
    assert record.max_new_tokens == settings.max_new_tokens
    base = load_base(tiny_model, BASE_REPO, "fp32")
    pair = record.pairs[0]
    for model, written in ((base, pair.base), (tuned, pair.tuned)):
        model.generation_config = settings
        assert complete(model, tokenizer, prompts[pair.prompt], record.max_new_tokens).text == written
    assert make(rows(tiny_model)) == record


def test_equal_prompts_are_asked_once_and_models_that_write_the_same_make_no_pair(make, tuned, tiny_model: Path):
    record = make([*rows(tiny_model, 6), *rows(tiny_model, 6)], count=40)
    distinct = {prompt_of(row) for row in rows(tiny_model, 6)}

    assert record.prompts == len(distinct)
    assert len(record.pairs) == len({(pair.prompt, pair.base) for pair in record.pairs}) > 0
    assert all(pair.base != pair.tuned for pair in record.pairs)
    assert len(record.pairs) + record.identical == record.prompts


def test_prompts_that_leave_no_room_are_passed_over_and_counted(make, tiny_model: Path):
    tokenizer = load_tokenizer(tiny_model, BASE_REPO)
    long = encode(["\x01" * 250, "\x02" * 250], tokenizer, 250)

    record = make([*long, *rows(tiny_model, 3)], count=40)
    assert record.too_long == 2
    with pytest.raises(DataError, match="Every held-out prompt is too long"):
        make(long)


def test_without_held_out_rows_there_is_nothing_to_ask(make):
    with pytest.raises(EmptySplitError, match="holds out no rows"):
        make([])


@pytest.mark.parametrize(
    ("labels", "prompt"),
    [
        ([IGNORED, IGNORED, IGNORED, 4, 5, 6], (1, 2, 3)),
        # A chat: the first thing that the user says, though a later answer is learned too.
        ([IGNORED, IGNORED, 3, IGNORED, 5, 6], (1, 2)),
        ([1, 2, 3, 4, 5, 6], (1, 2, 3)),
        # A BOS alone is no prompt.
        ([IGNORED, 2, 3, 4, 5, 6], (1, 2, 3)),
    ],
)
def test_the_prompt_is_what_stands_before_the_response_or_half_of_a_row_without_one(labels: list[int], prompt):
    assert prompt_of(Example("", [1, 2, 3, 4, 5, 6], labels, truncated=False)) == prompt
