import json
import sys

import pytest

pytest.importorskip("datasets")


def test_datasets_loads_a_dataset_by_commit(run, api, requests):
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
    assert "'q0', 'q1', 'q2', 'q3', 'q4'" in run(sys.executable, "-c", code)
    asked = {line["revision"] for line in requests()[before:] if line["repo"] == "org/quotes"}
    assert asked == {commit}


def test_datasets_loads_streams_and_pushes_every_format(run_script):
    assert run_script("datasets_calls.py").strip().endswith("done")
