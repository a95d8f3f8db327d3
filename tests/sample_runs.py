"""Configs, pins and run directories for tests, made of the real record types."""

import json
from pathlib import Path

from hubtune.config.load import parse_config
from hubtune.config.schema import TuneConfig
from hubtune.records.base import LicensedInput, LicenseRecord, Pin, PinSet, sha256_file
from hubtune.records.data import CanaryRecord, DataRecord, SourceRecord, SplitRecord
from hubtune.records.results import (
    EnvironmentRecord,
    EvaluationRecord,
    Measure,
    ProbePrompt,
    ProbeRecord,
    TrainingRecord,
)
from hubtune.records.rundir import RunDirectory

BASE_REPO = "org/base"
DATA_REPO = "org/sayings"
BASE_COMMIT = "b" * 40
DATA_COMMIT = "d" * 40
LEGAL = {"LICENSE": b"MIT License\n", "NOTICE": b"Made from org/base.\n"}
CARD_TEXT = "---\nlicense: mit\n---\n# A tuned model\n"
ENVIRONMENT = EnvironmentRecord(python="3.11.9", platform="Linux x86_64", device="CPU", packages={"torch": "2.9.1"})


def sample_config(*overrides: str) -> TuneConfig:
    """Returns a small config: one dataset with the columns `author` and `quote`, fp32."""
    text = f"""
    base: {{repo: {BASE_REPO}}}
    data: [{{repo: {DATA_REPO}, template: "{{author}}: {{quote}}"}}]
    train: {{precision: fp32, batch_size: 4, max_length: 64, learning_rate: 0.01, lora: {{r: 4}}}}
    evaluate: {{holdout: 0.2, batch_size: 4, metrics: [perplexity]}}
    card: {{license: mit, intended_use: Tests.}}
    publish: {{repo: org/tuned}}
    """
    return parse_config(text, overrides)


def sample_pins() -> PinSet:
    """Returns pins for `sample_config`."""
    return PinSet(
        base=Pin(repo=BASE_REPO, type="model", requested="main", commit=BASE_COMMIT, license="mit"),
        data=[Pin(repo=DATA_REPO, type="dataset", requested="main", commit=DATA_COMMIT, license="cc0-1.0")],
    )


def sample_licenses() -> list[LicensedInput]:
    """Returns what the inputs of `sample_pins` say of their licenses."""
    return [
        LicensedInput(kind="base", repo=BASE_REPO, commit=BASE_COMMIT, licenses=["mit"]),
        LicensedInput(kind="data", repo=DATA_REPO, commit=DATA_COMMIT, licenses=["cc0-1.0"]),
    ]


def saying(number: int) -> dict[str, str]:
    """Returns the row of that number; no two have the same words."""
    trades = ("baker", "gardener", "beekeeper", "clock repairer", "lighthouse keeper")
    return {
        "author": f"a {trades[number % len(trades)]}",
        "quote": f"The {number}th loaf feeds the {trades[number * 7 % len(trades)]}"
        + " and keeps" * (number % 4)
        + ".",
    }


def write_json_lines(folder: Path, rows: list[dict[str, object]], name: str = "train.jsonl") -> Path:
    """Writes rows as a dataset of one split in `folder` and returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def training_record(**changes: object) -> TrainingRecord:
    """Returns a training record without upstream and files; `changes` are its fields."""
    values: dict[str, object] = {
        "upstream": {},
        "method": "lora",
        "precision": "fp32",
        "target_modules": ["q_proj"],
        "trainable_parameters": 64,
        "total_parameters": 4096,
        "epochs": 1,
        "steps": 2,
        "batch_size": 4,
        "learning_rate": 0.01,
        "optimizer": "adamw_torch",
        "schedule": "linear",
        "warmup_steps": 1,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "seed": 42,
        "tokens": 100,
        "first_loss": 4.0,
        "final_loss": 3.0,
        "losses": [{"step": 1, "loss": 4.0}, {"step": 2, "loss": 3.0}],
        "started": "2026-01-31T12:00:00+00:00",
        "seconds": 1.5,
        "files": {},
        "environment": ENVIRONMENT,
    }
    return TrainingRecord.model_validate({**values, **changes})


def finished_run(
    path: Path, *overrides: str, weights: bytes = b"weights", canaries: CanaryRecord | None = None
) -> RunDirectory:
    """Makes a run that only has to be published: all records, a card, and an adapter that holds `weights`."""
    run = RunDirectory.create(sample_config(*overrides), path=path)
    run.write(sample_pins())
    run.write(LicenseRecord(upstream=run.digests("pins.json"), inputs=sample_licenses()))
    run.write(_data_record(run).model_copy(update={"canaries": canaries}))
    run.adapter_dir.mkdir()
    (run.adapter_dir / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": BASE_REPO, "revision": sample_pins().base.commit})
    )
    (run.adapter_dir / "adapter_model.safetensors").write_bytes(weights)
    files = {file.name: sha256_file(file) for file in run.adapter_dir.iterdir()}
    run.write(training_record(upstream=run.digests("config", "pins.json", "data.json"), files=files))
    run.write(_evaluation_record(run))
    run.write(_probe_record(run))
    run.write_file("README.md", CARD_TEXT)
    return run


def sample_source(**changes: object) -> SourceRecord:
    """Returns the record of the dataset of `sample_config`; `changes` are its fields."""
    values: dict[str, object] = {
        "repo": DATA_REPO,
        "commit": DATA_COMMIT,
        "name": None,
        "split": "train",
        "format": "template",
        "template": "{author}: {quote}",
        "rows": 40,
        "kept": 40,
        "dropped": {},
        "languages": ["en"],
        "prompt": "a baker:",
        "fingerprint": "f" * 64,
    }
    return SourceRecord.model_validate({**values, **changes})


def _data_record(run: RunDirectory) -> DataRecord:
    return DataRecord(
        upstream=run.digests("config", "pins.json"),
        sources=[sample_source()],
        train=SplitRecord(rows=32, tokens=320, truncated=0),
        held_out=SplitRecord(rows=8, tokens=80, truncated=0),
        split_method="by hash",
        max_length=64,
    )


def _evaluation_record(run: RunDirectory) -> EvaluationRecord:
    measure = Measure(
        name="perplexity",
        split="held-out",
        n=8,
        tokens=72,
        base=30.0,
        tuned=20.0,
        interval=(-12.0, -8.0),
        status="measured",
    )
    return EvaluationRecord(
        upstream=run.digests("config", "evaluate", "data.json", "training.json"),
        measures=[measure],
        precision="fp32",
        batch_size=4,
        max_items=None,
        seed=42,
        environment=ENVIRONMENT,
    )


def _probe_record(run: RunDirectory) -> ProbeRecord:
    prompt = ProbePrompt(text="A", input_ids=[1], tokens=[2], likeliest=[[2, 3]], logits=[[4.0, 1.0]])
    return ProbeRecord(
        upstream=run.digests("training.json"),
        precision="fp32",
        tolerance=0.01,
        difference=1.0,
        prompts=[prompt],
        environment=ENVIRONMENT,
    )
