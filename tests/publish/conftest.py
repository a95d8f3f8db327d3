"""A run to publish, and the base model's folder with its tokenizer."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hubtune.publish.plan import ReleasePlan, plan_release
from hubtune.records.release import CARD
from tests.sample_runs import LEGAL, finished_run

REPO = "org/tuned"


@pytest.fixture
def base_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "tokenizer.json").write_bytes(b'{"version": "1.0", "odd": "\xc3\xa9\\r\\n"}\r\n')
    (folder / "tokenizer_config.json").write_text('{"eos_token": "</s>"}')
    (folder / "chat_template.jinja").write_text("{{ messages }}\n")
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"the base's own weights")
    return folder


@pytest.fixture
def new_plan(tmp_path: Path, base_folder: Path) -> Callable[..., ReleasePlan]:
    """Plans the release of a new run; runs that are given the same are the same to the byte."""
    count = 0

    def make(*overrides: str, **content: bytes) -> ReleasePlan:
        nonlocal count
        count += 1
        run = finished_run(tmp_path / f"run-{count}", *overrides, **content)
        return plan_release(run, run.config(), REPO, base_folder, {CARD: run.card_file.read_bytes(), **LEGAL})

    return make
