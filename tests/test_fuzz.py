"""Whatever a file of somebody else holds, reading it gives a value or an error of hubtune's own.

Each case damages a sound document: a value becomes another, a key is lost or added, bytes are cut, changed or added.
"""

import contextlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubtune.card.lint.run import lint_text
from hubtune.card.metadata import read_front_matter
from hubtune.config.evaluation import BiasConfig
from hubtune.config.load import dump_config, load_config, parse_config, read_published
from hubtune.config.training import TrainConfig
from hubtune.errors import HubtuneError
from hubtune.evaluate.bias.material import check_files
from hubtune.hub.license_facts import front_matter_of, languages_of
from hubtune.localhub.accounts import Accounts
from hubtune.localhub.fault_injection import FaultPlan
from hubtune.metadata.hub_rules import check_card
from hubtune.models.base_facts import check_facts, read_facts
from hubtune.models.checkpoint import read_header
from hubtune.pin import read_lock
from hubtune.records.base import PinSet
from hubtune.records.data import DataRecord
from hubtune.records.ratings import AnswerFile
from hubtune.records.results import EvaluationRecord, TrainingRecord
from hubtune.records.rundir import RunDirectory
from tests.sample_runs import finished_run, sample_config, sample_pins

CONFIG = """
base: {repo: org/base, revision: main}
data:
  - {repo: org/sayings, template: "{author}: {quote}", split: "train[:10%]"}
  - {path: rows.csv, format: chat, columns: {messages: turns}, weight: 2}
rows: {mix: interleave, workers: 2}
screen: {email: redact, phone_regions: [US]}
earlier: {data: [{repo: org/old, text: text}], replay: 0.1}
train: {method: lora, lora: {r: 4, target_modules: [q_proj]}, learning_rate: 1e-4, added_tokens: ["<a>"]}
evaluate: {holdout: 0.2, metrics: [perplexity], bias: {words: w.txt}}
card: {license: mit, intended_use: Tests., consent: {file: c.md}, ethics: 2026-01-31}
publish: {repo: org/tuned, tag: v1.0.0}
"""
AUTH = "users: [{name: ann, token: s3, role: write, orgs: [{name: org, fullname: An org}]}, {name: bob, token: t}]"
FAULTS = "faults: [{method: POST, path: '*/commit/*', nth: 1, drop: true, when: after}, {regex: a.c, status: 429}]"
SWAPS = "age: {templates: ['The {term} ran.'], pairs: [[old, young]]}"
CARD = """---
license: mit
language: [en, 'no']
base_model: org/base
datasets: [org/sayings]
metrics: [perplexity]
model-index:
  - name: tuned
    results:
      - task: {type: text-generation}
        dataset: {name: Sayings, type: org/sayings, revision: main}
        metrics: [{type: perplexity, value: 3.5, name: Perplexity}]
---
# A model

Text.
"""
BASE = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 32,
    "vocab_size": 100,
    "auto_map": {"AutoConfig": "code.Config"},
    "quantization_config": None,
    "rope_scaling": {"factor": 2.0},
}
HEADER = {
    "__metadata__": {"format": "pt"},
    "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    "b": {"dtype": "F16", "shape": [2, 2], "data_offsets": [8, 16]},
}

JUNK = [None, True, -1, 0, 10**30, 1e308, float("nan"), "", "x", "\u2028", "../x", "/etc/hostname", "{a}", "é" * 300]
JUNK += [
    [],
    {},
    [[]],
    {"": None},
    [None, 1, "a"],
    {"file": "/etc/hostname"},
    "2026-99-99",
    [{"a": [{"b": {}}]}],
    "\ud7ff",
]
PIECES = [
    b"\xff",
    b"\x00",
    b"\xef\xbb\xbf",
    b"&a [*a]",
    b"9" * 5000,
    b"!!python/none",
    b"[" * 300,
    b"\n---\n",
    b'"',
    b": ",
]
PIECES += [b"<html>", b"\r", b"\t", b"*", b"{", b"}", b"2026-99-99", b"\xed\xa0\x80", b"NaN"]


@dataclass(frozen=True)
class Door:
    """One way in: a sound document, how it is written, and what reads it."""

    name: str
    sample: object
    write: Callable[[object], bytes]
    read: Callable[[Path], object]
    file: str = "file"


def _yaml(value: object) -> bytes:
    return yaml.safe_dump(value).encode(errors="surrogatepass")


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _safetensors(value: object) -> bytes:
    header = _json(value)
    return len(header).to_bytes(8, "little") + header + bytes(16)


def _card(value: object) -> bytes:
    return b"---\n" + _yaml(value) + b"---\n# A model\n"


def _bias(key: str) -> Callable[[Path], object]:
    return lambda path: check_files(BiasConfig.model_validate({key: str(path)}))


def _look_at_card(path: Path) -> None:
    text = path.read_bytes().decode(errors="replace")
    check_card(text)
    lint_text(text)
    read_front_matter(text)
    front_matter_of(path.parent)
    languages_of(path.parent)


def _facts(path: Path) -> None:
    check_facts(read_facts(path.read_bytes(), "org/base"), TrainConfig(), "org/base")


def _overrides(path: Path) -> None:
    given = path.read_bytes().decode(errors="replace").splitlines()
    parse_config(CONFIG, given)


DOORS = [
    Door("config", yaml.safe_load(CONFIG), _yaml, load_config, "hubtune.yaml"),
    Door("overrides", {"train.epochs": 3, "data[0].split": "test", "card": {"license": "mit"}}, _yaml, _overrides),
    Door(
        "release's config",
        yaml.safe_load(dump_config(sample_config())),
        _yaml,
        lambda path: read_published(path.read_bytes().decode(errors="replace"), "x"),
    ),
    Door("lock", sample_pins().model_dump(mode="json"), _json, read_lock),
    Door("auth", yaml.safe_load(AUTH), _yaml, Accounts.load),
    Door("faults", yaml.safe_load(FAULTS), _yaml, FaultPlan.load),
    Door("bias templates", yaml.safe_load(SWAPS), _yaml, _bias("templates"), "t.yaml"),
    Door("bias pairs", {"more": "a b", "less": "c d"}, _json, _bias("pairs"), "p.jsonl"),
    Door("bias words", "word\nbad\n", lambda text: str(text).encode(), _bias("words"), "w.csv"),
    Door("card", yaml.safe_load(CARD.split("---")[1]), _card, _look_at_card, "README.md"),
    Door("config.json", BASE, _json, _facts),
    Door("safetensors", HEADER, _safetensors, read_header, "model.safetensors"),
    Door("answers", {"pairs": "x", "pair": 0, "answer": "a"}, _json, lambda path: AnswerFile(path, "x", 3).read()),
]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return finished_run(tmp_path_factory.mktemp("fuzz") / "run")


def damaged(value: object, chance: random.Random) -> object:
    """Returns a copy in which one place holds something else, or is lost, or one is added."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        how = chance.random()
        rest = {name: item for name, item in value.items() if name != key}
        if how < 0.1:
            return rest
        if how < 0.2:
            return {**value, chance.choice(["x", 1, "", None, "repo"]): chance.choice(JUNK)}
        return {**rest, key: damaged(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        place = chance.randrange(len(value))
        return [*value[:place], damaged(value[place], chance), *value[place + 1 :]]
    return chance.choice(JUNK)


def cut(content: bytes, chance: random.Random) -> bytes:
    """Returns the bytes with a piece lost, changed or put in; most often as they are."""
    if chance.random() < 0.6:
        return content
    start = chance.randrange(len(content) + 1)
    end = min(len(content), start + chance.choice([0, 0, 1, 20, len(content)]))
    return content[:start] + chance.choice([b"", *PIECES]) + content[end:]


def check_door(door: Door, folder: Path, count: int) -> None:
    path = folder / door.file

    @settings(max_examples=count, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32))
    def case(seed: int) -> None:
        chance = random.Random(seed)
        value = door.sample
        for _ in range(chance.randrange(4)):
            value = damaged(value, chance)
        path.write_bytes(cut(door.write(value), chance))
        with contextlib.suppress(HubtuneError):
            door.read(path)

    case()


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_a_damaged_document_is_read_or_refused(door: Door, tmp_path: Path, trials: Callable[[int, int], int]) -> None:
    check_door(door, tmp_path, trials(60, 2000))


@pytest.mark.parametrize("kind", [PinSet, DataRecord, TrainingRecord, EvaluationRecord])
def test_a_damaged_record_is_read_or_refused(
    kind: type, run: RunDirectory, tmp_path: Path, trials: Callable[[int, int], int]
) -> None:
    sample = json.loads(run.record_file(kind).read_bytes())
    check_door(Door(kind.__name__, sample, _json, kind.read), tmp_path, trials(40, 2000))
