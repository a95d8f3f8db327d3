"""Both sides are measured on the same rows: the base as it is alone, the tuned model as the adapter makes it."""

import json
from pathlib import Path

import pytest
import torch

from hubtune.data.tokenization import Example
from hubtune.errors import ModelError
from hubtune.evaluate.bench import likelihoods
from hubtune.evaluate.evaluation import EvaluationJob, evaluate
from hubtune.evaluate.measurement import MeasuredRows
from hubtune.models.memory import environment
from hubtune.models.pretrained import PinnedBase, load_base, load_tokenizer, pad_id
from hubtune.models.release_model import replay
from hubtune.records.results import EvaluationRecord, ProbeRecord, TrainingRecord
from hubtune.records.rundir import RunDirectory
from hubtune.train.methods.method import save_adapter
from tests.sample_runs import BASE_REPO, sample_config, sample_pins, training_record


def untimed(record: EvaluationRecord) -> EvaluationRecord:
    """Returns the record without how long each measure took."""
    return record.model_copy(
        update={"measures": [measure.model_copy(update={"seconds": None}) for measure in record.measures]}
    )


@pytest.fixture
def run(tmp_path: Path, tuned) -> RunDirectory:
    run = RunDirectory.create(sample_config(), path=tmp_path / "run")
    run.write(sample_pins())
    save_adapter(tuned, run.adapter_dir)
    return run


@pytest.fixture
def measure(run: RunDirectory, tiny_model: Path, listener):
    def evaluated(held_out: list[Example], training: TrainingRecord | None = None):
        base = PinnedBase(sample_pins().base, tiny_model, load_tokenizer(tiny_model, BASE_REPO))
        rows = MeasuredRows([], held_out)
        found = evaluate(EvaluationJob(run, base, training or training_record(), rows, listener))
        run.write(found.probe)
        return found.evaluation

    return evaluated


def test_the_base_side_is_the_base_model_s_own_perplexity(measure, tiny_model: Path, examples):
    alone = likelihoods(load_base(tiny_model, BASE_REPO, "fp32"), examples, 0, 1)

    assert measure(examples).measures[0].base == pytest.approx(alone.perplexity, rel=1e-4)


def test_the_tuned_side_is_the_adapted_model_s(measure, tuned, tiny_model: Path, examples):
    expected = likelihoods(tuned, examples, pad_id(load_tokenizer(tiny_model, BASE_REPO)), 4).perplexity

    measured = measure(examples).measures[0]

    assert measured.tuned == pytest.approx(expected, rel=1e-4)
    assert measured.tuned != pytest.approx(measured.base, rel=1e-2)


def test_the_measure_says_what_it_was_taken_on(measure, run: RunDirectory, examples):
    record = measure(examples)
    (measured,) = record.measures

    assert (measured.name, measured.split, measured.n, measured.status) == (
        "perplexity",
        "held-out",
        len(examples),
        "measured",
    )
    assert measured.tokens == sum(len(example.input_ids) - 1 for example in examples)
    assert measured.interval is not None
    assert measured.interval[0] < measured.tuned - measured.base < measured.interval[1]
    assert "bootstrap" in str(measured.interval_method)
    assert record.upstream == run.digests("config", "evaluate", "data.json", "training.json")
    assert (record.precision, record.batch_size, record.seed) == ("fp32", 4, 42)
    assert record.environment == environment()


def test_measuring_again_gives_the_same_record(measure, examples):
    assert untimed(measure(examples)) == untimed(measure(examples))


def test_ten_rows_are_enough_for_an_interval_and_nine_are_not(measure, examples):
    (ten,), (nine,) = measure(examples[-10:]).measures, measure(examples[-9:]).measures

    assert (ten.status, ten.detail) == ("measured", None)
    assert ten.interval is not None
    assert (nine.status, nine.interval, nine.interval_method) == ("insufficient data", None, None)
    assert "9 items" in str(nine.detail)
    assert nine.base is not None


def test_the_precision_is_that_of_the_training(measure, examples):
    precise, coarse = measure(examples), measure(examples, training_record(precision="bf16"))

    assert coarse.precision == "bf16"
    assert coarse.measures[0].base == pytest.approx(precise.measures[0].base, rel=0.05)
    assert coarse.measures[0].base != precise.measures[0].base


def test_progress_goes_through_all_batches_of_both_sides(measure, examples, listener):
    measure(examples)

    assert listener.steps == {"Held-out rows, base": [6, 6], "Held-out rows, tuned": [6, 6]}


def test_the_measure_stands_in_the_events(measure, run: RunDirectory, examples):
    (measured,) = measure(examples).measures

    event = json.loads((run.path / "events.jsonl").read_text())
    assert (event["stage"], event["name"], event["base"], event["tuned"], event["n"]) == (
        "evaluate",
        "perplexity",
        measured.base,
        measured.tuned,
        measured.n,
    )


def test_an_adapter_that_cannot_be_loaded_is_named(measure, run: RunDirectory, examples):
    (run.adapter_dir / "adapter_model.safetensors").write_bytes(b"damaged")

    with pytest.raises(ModelError, match="adapter"):
        measure(examples)


def test_a_lost_adapter_is_named_and_the_hub_is_not_asked(measure, run: RunDirectory, examples, served):
    for path in run.adapter_dir.iterdir():
        path.unlink()
    before = len(served.requests())

    with pytest.raises(ModelError, match="adapter"):
        measure(examples)

    assert len(served.requests()) == before


def test_a_perplexity_that_is_no_number_is_told_as_failed(run: RunDirectory, measure, tuned, examples):
    with torch.no_grad():
        next(weight for name, weight in tuned.named_parameters() if "lora_B" in name).fill_(1e38)
    save_adapter(tuned, run.adapter_dir)

    (measured,) = measure(examples).measures

    assert (measured.status, measured.base, measured.tuned, measured.interval) == ("failed", None, None, None)
    assert "NaN or infinite in" in str(measured.detail)


def test_the_probe_is_what_the_tuned_model_says_and_the_base_does_not(measure, run: RunDirectory, tuned, examples):
    measure(examples)
    probe = run.read(ProbeRecord)

    assert replay(tuned, probe.prompts).difference < probe.tolerance
    with tuned.disable_adapter():
        assert replay(tuned, probe.prompts).difference == pytest.approx(probe.difference, rel=1e-3)
    assert probe.difference > probe.tolerance
    assert probe.precision == "fp32"
