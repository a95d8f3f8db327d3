"""Other unchanged clients of the Hub, each in a process of its own because they read HF_ENDPOINT once."""

import json
import os
import subprocess
import sys

import pytest


def test_datasets_loads_a_dataset_by_commit(hub, api, tmp_path, requests):
    pytest.importorskip("datasets")
    api.create_repo("org/quotes", repo_type="dataset")
    rows = "".join(json.dumps({"quote": f"q{n}"}) + "\n" for n in range(5))
    commit = api.upload_file(
        path_or_fileobj=rows.encode(), path_in_repo="train.jsonl", repo_id="org/quotes", repo_type="dataset"
    ).oid
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="train.jsonl", repo_id="org/quotes", repo_type="dataset")
    before = len(requests())
    code = (
        f"from datasets import load_dataset; print(load_dataset('org/quotes', revision='{commit}')['train']['quote'])"
    )
    env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "t"}
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env)
    assert "'q0', 'q1', 'q2', 'q3', 'q4'" in shown.stdout
    asked = {line["revision"] for line in requests()[before:] if line["repo"] == "org/quotes"}
    assert asked == {commit}
