"""Every method teaches a base to classify, and what it saves loads through transformers' and peft's own classes."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification

from hubtune.data.segments import Classified
from hubtune.data.tokenization import Encoder
from hubtune.errors import ModelError
from hubtune.evaluate.evaluation import EvaluationJob, evaluate
from hubtune.evaluate.measurement import MeasuredRows
from hubtune.models.classifier import Classes
from hubtune.models.pretrained import PinnedBase, load_tokenizer, pad_id
from hubtune.models.release_model import load_release, replay, take_probe
from hubtune.train.loss import class_scores
from hubtune.train.methods.method import make_trainable
from hubtune.train.setup import TrainJob
from hubtune.train.training import train
from tests.listener import Listener
from tests.sample_runs import sample_pins

NAMES = ("bread", "bees")
TEXTS = ("The baker rises.", "A hive has no manager.", "The baker sells the loaf.", "The hive keeps the keeper.")
RECIPE = ("evaluate.metrics=[classification]", "train.epochs=24", "train.batch_size=4", "train.learning_rate=0.003")


def _rows(tokenizer, several: bool):
    labels = [(number % 2,) if not several else ((), (0,), (1,), (0, 1))[number % 4] for number in range(len(TEXTS))]
    found = Encoder(tokenizer, 32).classify(
        [Classified(text, None, label) for text, label in zip(TEXTS, labels, strict=True)]
    )
    return [example for _ in range(2) for example in found]


def _fit(new_run, base: Path, method: str, *, several: bool = False, options: tuple[str, ...] = ()):
    artifact = ["publish.artifact=merged"] if method in ("full", "freeze") else []
    run = new_run(*RECIPE, f"train.method={method}", *artifact, *options)
    tokenizer = load_tokenizer(base, "org/base")
    rows, classes = _rows(tokenizer, several), Classes(NAMES, several, pad_id(tokenizer))
    pinned = PinnedBase(sample_pins().base, base, tokenizer)
    record = train(TrainJob(run, pinned, rows, Listener(), classes=classes, held_out=rows))
    run.write(record)
    found = evaluate(EvaluationJob(run, pinned, record, MeasuredRows(rows, rows), Listener(), classes))
    return run, record, found, rows, tokenizer


def _loaded(run, record, base: Path, tokenizer, rows):
    """Loads what was saved as the card's program does."""
    settings = {
        "num_labels": 2,
        "id2label": dict(enumerate(NAMES)),
        "label2id": {name: number for number, name in enumerate(NAMES)},
        "pad_token_id": pad_id(tokenizer),
    }
    if record.whole:
        return AutoModelForSequenceClassification.from_pretrained(run.model_dir)
    model = AutoModelForSequenceClassification.from_pretrained(base, **settings)
    return PeftModel.from_pretrained(model, run.adapter_dir)


@pytest.mark.parametrize(
    ("model", "method"),
    [
        *[("bert", "lora"), ("gpt2", "full"), ("llama", "freeze")],
        *[
            pytest.param(*case, marks=pytest.mark.full_trial)
            for case in (("bert", "full"), ("chat", "lora"), ("bert", "qlora"), ("llama", "qlora"))
        ],
    ],
)
def test_a_classifier_learns_and_loads_with_the_logits_of_its_probe(tiny, new_run, model: str, method: str):
    base = tiny(model)
    run, record, found, rows, tokenizer = _fit(new_run, base, method)

    assert record.final_loss < 0.2
    # The held-out rows are those that are learnt: each epoch's measurement is what the evaluation finds at the end.
    assert record.held_out_losses[-1].accuracy == record.held_out_losses[-1].macro_f1 == 1.0
    accuracy = found.evaluation.measure("accuracy")
    assert (accuracy.base, accuracy.tuned, accuracy.n) == (None, 1.0, len(rows))
    assert found.evaluation.confusions[0].counts == [[4, 0], [0, 4]]
    assert found.probe.difference is None

    loaded = _loaded(run, record, base, tokenizer, rows).eval()
    assert {int(k): v for k, v in loaded.config.id2label.items()} == dict(enumerate(NAMES))
    assert replay(loaded, found.probe.prompts).difference < 1e-4
    with torch.no_grad():
        given = [int(loaded(input_ids=torch.tensor([row.input_ids])).logits.argmax()) for row in rows]
    assert given == [row.labels[0] for row in rows]


def test_a_classifier_stops_early_and_tells_its_scores_of_each_measurement(new_run, bert: Path):
    options = ("train.epochs=40", "train.early_stopping=2", "train.learning_rate=0.05")
    run, record, found, _, _ = _fit(new_run, bert, "lora", options=options)

    best = min(record.held_out_losses, key=lambda point: point.loss)
    assert (record.best_step, record.steps < 80) == (best.step, True)
    # The best weights were put back, and the evaluation measures the same rows.
    assert found.evaluation.measure("accuracy").tuned == best.accuracy
    assert found.evaluation.measure("macro_f1").tuned == pytest.approx(best.macro_f1)
    events = [json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines()]
    told = [event for event in events if event.get("event") == "held_out_loss"]
    assert [(event["step"], event["accuracy"], event["macro_f1"]) for event in told] == [
        (point.step, point.accuracy, point.macro_f1) for point in record.held_out_losses
    ]


def test_scores_are_those_of_rows_and_classes():
    """Three classes: the second is never given, its row is given the third."""
    ids, logits = torch.tensor([0, 0, 1, 2]), torch.eye(3)[[0, 0, 2, 2]]
    several = class_scores(torch.tensor([[1.0, 0], [1, 1]]), torch.tensor([[2.0, -1], [1, -1]]))

    assert class_scores(ids, logits) == {"accuracy": 0.75, "macro_f1": pytest.approx((1 + 0 + 2 / 3) / 3)}
    assert several == {"accuracy": 0.5, "macro_f1": 0.5}


def test_rows_of_several_classes_are_learnt_and_measured(new_run, bert: Path):
    _, record, found, _, _ = _fit(new_run, bert, "full", several=True)

    assert record.final_loss < 0.2
    assert (record.held_out_losses[-1].accuracy, record.held_out_losses[-1].macro_f1) == (1.0, 1.0)
    assert found.evaluation.measure("accuracy").tuned == 1.0
    assert found.evaluation.measure("macro_f1").tuned == 1.0


def test_an_adapter_s_release_loads_as_verify_loads_it(new_run, gpt2: Path, tmp_path: Path):
    run, _, found, _, _ = _fit(new_run, gpt2, "lora")
    release = tmp_path / "release"
    release.mkdir()
    for path in [*run.adapter_dir.iterdir(), *gpt2.glob("tokenizer*")]:
        (release / path.name).write_bytes(path.read_bytes())

    model, tokenizer = load_release(release, gpt2, "fp32", "org/tuned", (NAMES, False))

    assert replay(model, found.probe.prompts).difference < 1e-4
    assert take_probe(model, tokenizer)[0].tokens == found.probe.prompts[0].tokens
    with pytest.raises(ModelError, match="is a classifier and generates no text"):
        load_release(release, gpt2, "fp32", "org/tuned")


def test_a_head_in_bf16_is_trained_in_fp32(new_run, llama: Path):
    run = new_run(*RECIPE, "train.precision=fp32")
    tokenizer = load_tokenizer(llama, "org/base")
    base, classes = PinnedBase(sample_pins().base, llama, tokenizer), Classes(NAMES, False, pad_id(tokenizer))
    subject = make_trainable(run.config().train, base, "bf16", classes)

    trained = {name: weight.dtype for name, weight in subject.model.named_parameters() if weight.requires_grad}
    assert any("score" in name for name in trained)
    assert set(trained.values()) == {torch.float32}
    assert subject.model(input_ids=torch.tensor([[5, 6, 7]])).logits.dtype == torch.bfloat16
