"""`hubtune data show` reads the files of the pinned repository and no other, whatever its card names."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hubtune.cli.app import app
from hubtune.errors import DataError
from tests.sample_runs import write_json_lines

SECRET = "the diary of somebody"


@pytest.fixture
def hub(served, gpt2: Path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", served.url)
    served.commit_folder("org/base", gpt2)
    served.commit("org/private", {"diary.jsonl": json.dumps({"text": SECRET}).encode()}, "dataset")
    return served


def _show(tmp_path: Path, streaming: bool):
    data = {"repo": "org/s", "text": "text", "streaming": streaming}
    config = tmp_path / "hubtune.yaml"
    config.write_text(json.dumps({"base": {"repo": "org/base"}, "data": [data], "rows": {"workers": 1}}))
    return CliRunner().invoke(app, ["--json", "data", "show", str(config)], standalone_mode=False)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    "pattern", ["{outside}/diary.jsonl", "file://{outside}/diary.jsonl", "hf://datasets/org/private/diary.jsonl"]
)
def test_a_card_that_names_another_place_is_refused_and_nothing_of_it_shown(hub, tmp_path, pattern, streaming: bool):
    outside = write_json_lines(tmp_path / "outside", [{"text": SECRET}] * 30, "diary.jsonl")
    pattern = pattern.format(outside=outside)
    card = "---\n" + json.dumps({"configs": [{"config_name": "default", "data_files": pattern}]}) + "\n---\n"
    hub.commit("org/s", {"README.md": card.encode(), "train.jsonl": b'{"text": "Its own."}\n'}, "dataset")

    shown = _show(tmp_path, streaming)

    assert isinstance(shown.exception, DataError)
    assert shown.exception.exit_code == 20
    assert pattern in shown.exception.message
    assert SECRET not in shown.output


@pytest.mark.parametrize("streaming", [False, True])
def test_the_record_names_the_files_that_were_read(hub, tmp_path, streaming: bool):
    from hashlib import sha256

    rows = "".join(json.dumps({"text": f"Row {number} of them."}) + "\n" for number in range(30)).encode()
    card = "---\n" + json.dumps({"configs": [{"config_name": "a", "data_files": "data/*.jsonl"}]}) + "\n---\n"
    hub.commit("org/s", {"README.md": card.encode(), "data/a.jsonl": rows, "other.jsonl": rows}, "dataset")

    shown = _show(tmp_path, streaming)

    assert shown.exception is None, shown.output
    (source,) = json.loads(shown.stdout)["data"]["sources"]
    assert (source["rows"], source["files"]) == (30, {"data/a.jsonl": sha256(rows).hexdigest()})
