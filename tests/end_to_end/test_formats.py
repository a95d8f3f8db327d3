"""Rows of each format, from data on the Hub to a published adapter that acts, on one Hub and one tiny chat model."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hubtune.config.load import parse_config
from hubtune.config.schema import TuneConfig
from hubtune.pipeline.context import RunOptions
from hubtune.pipeline.generate import Prompt, generate
from hubtune.pipeline.init import show_rows
from hubtune.pipeline.run import Outcome, run_job
from hubtune.records.base import sha256_bytes
from tests.end_to_end.worlds import BASE_CARD, DATA_CARD
from tests.listener import Listener
from tests.served_hub import ServedHub, serve

if TYPE_CHECKING:
    import torch

APHORISMS = Path(__file__).parents[2] / "examples/quickstart/aphorisms.jsonl"
ROWS = [json.loads(line) for line in APHORISMS.read_text(encoding="utf-8").splitlines()[:24]]
GIVEN = "{% for m in messages %}<|im_start|>{{ m.role }}: {{ m.content }}<|im_end|>\n{% endfor %}"

Row = dict[str, object]


@dataclass(frozen=True)
class Kind:
    """How an aphorism becomes a row of one format, and what the config and the card say of it."""

    row: Callable[[Row], Row]
    entry: str
    loss: str
    words: str


KINDS = {
    "text": Kind(lambda row: row, "text: quote", "all", "with the template `{quote}`"),
    "template": Kind(
        lambda row: row, 'template: "Aphorism by {author}: {quote}"', "all", "`Aphorism by {author}: {quote}`"
    ),
    "prompt_completion": Kind(
        lambda row: {"prompt": f"{row['author']} says:", "completion": f" {row['quote']}"},
        "format: prompt_completion",
        "completion",
        "Each row is a prompt and a completion. Only the tokens of the response are target tokens.",
    ),
    "instruction": Kind(
        lambda row: {"instruction": f"Speak as {row['author']}.", "output": row["quote"]},
        "format: instruction",
        "completion",
        "in the Alpaca format. Only the tokens of the response are target tokens.",
    ),
    "chat": Kind(
        lambda row: {
            "messages": [
                {"role": "user", "content": f"What does {row['author']} say?"},
                {"role": "assistant", "content": row["quote"]},
            ]
        },
        f"format: chat, chat_template: {json.dumps(GIVEN)}",
        "assistant",
        f"with the author's chat template (SHA-256 `{sha256_bytes(GIVEN.encode())[:12]}…`), which is published",
    ),
}


# In the sample, one without a prompt and one with turns; the trials have all.
PARAMS = [kind if kind in ("template", "chat") else pytest.param(kind, marks=pytest.mark.full_trial) for kind in KINDS]


def config_of(kind: str, entry: str) -> TuneConfig:
    return parse_config(
        f"""
        base: {{repo: org/base}}
        data: [{{repo: org/rows-{kind.replace("_", "-")}, {entry}}}]
        train: {{precision: fp32, batch_size: 8, max_length: 400, learning_rate: 0.02, lora: {{r: 2}}}}
        evaluate: {{holdout: 0.2, max_items: 4, metrics: [perplexity]}}
        card: {{intended_use: Tests.}}
        publish: {{repo: org/tuned-{kind.replace("_", "-")}}}
        """
    )


def upload(hub: ServedHub, kind: str, rows: list[Row]) -> None:
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    hub.commit(
        f"org/rows-{kind.replace('_', '-')}", {"train.jsonl": content, "README.md": DATA_CARD.encode()}, "dataset"
    )


@pytest.fixture(scope="module")
def long(chat: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny chat model, with room for Alpaca's prompts in its small vocabulary; for reading only."""
    folder = tmp_path_factory.mktemp("long") / "model"
    shutil.copytree(chat, folder)
    for name, key in (("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length")):
        settings = json.loads((folder / name).read_text())
        assert key in settings
        (folder / name).write_text(json.dumps({**settings, key: 512}))
    return folder


@pytest.fixture(scope="module")
def hub(long: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """A Hub with the base model; what the tests of this module publish stays there."""
    folder = tmp_path_factory.mktemp("formats")
    with pytest.MonkeyPatch.context() as patch, serve(folder / "hub", folder / "cache", patch) as hub:
        hub.commit_folder("org/base", long)
        hub.commit("org/base", {"README.md": BASE_CARD.encode()})
        yield hub


@dataclass(frozen=True)
class Released:
    outcome: Outcome
    snapshot: Path
    difference: float
    template: str | None


@pytest.fixture(scope="module", params=PARAMS)
def released(request: pytest.FixtureRequest, hub: ServedHub, long: Path, tmp_path_factory: pytest.TempPathFactory):
    """A published release of each format, fetched by its tag and loaded by the unchanged clients."""
    from huggingface_hub import snapshot_download
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    kind = KINDS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    upload(hub, request.param, [kind.row(row) for row in ROWS])
    config = config_of(request.param, kind.entry)
    options = RunOptions(publish=True, run_dir=folder / "run")
    outcome = run_job(config, folder / "hubtune.yaml", options, Listener())
    assert outcome.release is not None
    repo, tag = outcome.release.repo, outcome.release.tag
    snapshot = Path(snapshot_download(repo, revision=tag, local_dir=folder / "released"))
    base = AutoModelForCausalLM.from_pretrained(long)
    before = logits(base)
    after = logits(PeftModel.from_pretrained(base, snapshot))
    tokenizer = AutoTokenizer.from_pretrained(snapshot)
    return request.param, Released(outcome, snapshot, (after - before).abs().max().item(), tokenizer.chat_template)


def logits(model: object) -> "torch.Tensor":
    import torch

    with torch.no_grad():
        return model(torch.tensor([[5, 7, 11, 13]])).logits


def test_a_release_of_each_format_tells_its_rows_and_acts(released, hub: ServedHub):
    kind, made = released
    (source,) = made.outcome.inputs.data.sources
    training, data = made.outcome.inputs.training, made.outcome.inputs.data
    card = (made.snapshot / "README.md").read_text(encoding="utf-8")

    assert (source.format, source.loss_on) == (kind, KINDS[kind].loss)
    assert source.kept + sum(source.dropped.values()) == source.rows == len(ROWS)
    assert training.tokens == data.train.learnt
    assert (data.train.learnt < data.train.tokens - data.train.rows) == (source.loss_on != "all")
    assert hub.tags(made.outcome.release.repo) == {"v1.0.0": made.outcome.release.commit}
    assert made.difference > 1e-3
    assert KINDS[kind].words in card
    assert f"| `org/rows-{kind.replace('_', '-')}` | `train` | 24 | {source.kept} |" in card


def test_the_chat_template_that_wrote_the_rows_is_the_release_s(released, chat: Path):
    kind, made = released
    own = (chat / "chat_template.jinja").read_text(encoding="utf-8")

    assert made.template == (GIVEN if kind == "chat" else own)


def test_the_end_of_a_turn_is_the_one_of_the_template_that_was_trained_with(hub: ServedHub, long: Path, tmp_path: Path):
    """The base has none of its own, and the config's refuses conversations without words that only the rows have."""
    base = Path(shutil.copytree(long, tmp_path / "base"))
    (base / "chat_template.jinja").unlink()
    hub.commit_folder("org/plain", base)
    hub.commit("org/plain", {"README.md": BASE_CARD.encode()})
    turns = [("system", "Be terse."), ("user", "Oil?"), ("assistant", "Yes.")]
    rows = [
        {
            "messages": [
                {"role": role, "content": f"{text} {number}" if role == "user" else text} for role, text in turns
            ]
        }
        for number in range(120)
    ]
    upload(hub, "ends", rows)
    template = (
        "{% if messages[0].content != 'Be terse.' %}{{ raise_exception('be terse') }}{% endif %}"
        "{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>\n{% endfor %}"
    )
    config = config_of("ends", f"format: chat, chat_template: {json.dumps(template)}")
    config = config.model_copy(
        update={
            "base": config.base.model_copy(update={"repo": "org/plain"}),
            "train": config.train.model_copy(update={"epochs": 3}),
            "evaluate": config.evaluate.model_copy(update={"metrics": ["endings"], "max_items": 24}),
        }
    )

    outcome = run_job(config, tmp_path / "hubtune.yaml", RunOptions(publish=True, run_dir=tmp_path / "run"), Listener())

    settings = json.loads((tmp_path / "run/adapter/generation_config.json").read_text())
    assert settings["eos_token_id"] == [0, 2]
    (ended,) = [measure for measure in outcome.inputs.evaluation.measures if measure.name == "ended"]
    assert ended.tuned > 0.9
    made = generate(
        "org/tuned-ends", "main", Prompt("system: Be terse.<|im_end|>\nuser: Oil? 7<|im_end|>\n"), Listener()
    )
    assert made.stop_reason == "stop token"


def test_rows_to_classify_are_counted_by_their_labels(hub: ServedHub, tmp_path: Path):
    upload(hub, "classification", [{"text": row["quote"], "labels": row["tags"]} for row in ROWS])
    config = config_of("classification", "format: classification")

    data = show_rows(config, tmp_path / "hubtune.yaml", 3, Listener()).data

    assert data.labels == sorted({tag for row in ROWS for tag in row["tags"]})
    assert data.several_labels
    counted = {label: data.train.classes[label] + data.held_out.classes[label] for label in data.labels}
    assert sum(data.held_out.classes.values()) > 0
    assert all(0 < count <= sum(label in row["tags"] for row in ROWS) for label, count in counted.items() if count)
