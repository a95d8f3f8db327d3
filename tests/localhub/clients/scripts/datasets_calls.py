"""datasets: every file format that the Hub is used for, several splits and configs, streaming, and pushing."""

import csv
import io
import json

import pyarrow
import pyarrow.parquet
from datasets import Dataset, DatasetDict, get_dataset_config_names, get_dataset_split_names, load_dataset
from huggingface_hub import CommitOperationAdd, HfApi

ROWS = [{"quote": f"q{n}", "length": n} for n in range(8)]
CARD = """---
license: mit
configs:
- config_name: short
  data_files:
  - {split: train, path: "short/train.csv"}
  - {split: test, path: "short/test.csv"}
- config_name: long
  data_files: "long/*.csv"
---
"""


def as_jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, ["quote", "length"])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows):
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def make(repo, **files):
    api.create_repo(repo, repo_type="dataset")
    additions = [CommitOperationAdd(path, content) for path, content in files.items()]
    return api.create_commit(repo, additions, commit_message="rows", repo_type="dataset").oid


api = HfApi()
old = make("org/lines", **{"train.jsonl": as_jsonl(ROWS[:6]), "test.jsonl": as_jsonl(ROWS[6:])})
api.upload_file(
    path_or_fileobj=as_jsonl(ROWS[:1]), path_in_repo="train.jsonl", repo_id="org/lines", repo_type="dataset"
)
loaded = load_dataset("org/lines", revision=old)
assert {name: len(split) for name, split in loaded.items()} == {"train": 6, "test": 2}
assert loaded["train"].to_list() == ROWS[:6]
assert load_dataset("org/lines", split="train").to_list() == ROWS[:1]

files = {"short/train.csv": as_csv(ROWS[:3]), "short/test.csv": as_csv(ROWS[3:5]), "long/0.csv": as_csv(ROWS)}
make("org/both", **{"README.md": CARD.encode(), **files})
assert sorted(get_dataset_config_names("org/both")) == ["long", "short"]
assert sorted(get_dataset_split_names("org/both", "short")) == ["test", "train"]
assert load_dataset("org/both", "short", split="test").to_list() == ROWS[3:5]
assert load_dataset("org/both", "long", split="train").to_list() == ROWS
assert list(load_dataset("org/both", "long", split="train", streaming=True)) == ROWS

make("org/columns", **{"data/train-0.parquet": as_parquet(ROWS[:4]), "data/train-1.parquet": as_parquet(ROWS[4:])})
assert load_dataset("org/columns", split="train").to_list() == ROWS
assert list(load_dataset("org/columns", split="train", streaming=True)) == ROWS
assert list(load_dataset("org/lines", split="test", streaming=True)) == ROWS[6:]

pushed = DatasetDict({"train": Dataset.from_list(ROWS[:5]), "test": Dataset.from_list(ROWS[5:])})
pushed.push_to_hub("org/pushed", commit_message="Push")
Dataset.from_list(ROWS).push_to_hub("org/pushed", "all", split="train", private=True)
again = load_dataset("org/pushed")
assert {name: split.to_list() for name, split in again.items()} == {"train": ROWS[:5], "test": ROWS[5:]}
assert load_dataset("org/pushed", "all", split="train").to_list() == ROWS
proposed = Dataset.from_list(ROWS[:2]).push_to_hub("org/pushed", split="train", create_pr=True)
assert len(load_dataset("org/pushed", split="train", revision=proposed.pr_revision)) == 2
print("done")
