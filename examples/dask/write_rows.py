"""Cleans rows that do not fit into memory with Dask, and writes them as Parquet to a dataset on the Hub.

    pip install "dask[dataframe]" huggingface_hub
    python write_rows.py "raw/*.jsonl" ORGANIZATION/NAME

Each file of `raw` has a JSON object with a `text` on each line. Spark and Ray write the same kind of files.
"""

import sys

import dask.dataframe as dd
from huggingface_hub import HfApi

SHORTEST = 20


def main(raw: str, repo: str) -> None:
    """Writes the rows that are long enough, once each, into `data/train-*.parquet` of the dataset."""
    rows = dd.read_json(raw, lines=True, blocksize="64MB", dtype={"text": str})[["text"]]
    kept = rows[rows["text"].str.len() >= SHORTEST].drop_duplicates(split_out=rows.npartitions)
    HfApi().create_repo(repo, repo_type="dataset", exist_ok=True)
    kept.to_parquet(
        f"hf://datasets/{repo}/data",
        write_index=False,
        name_function=lambda number: f"train-{number:05d}.parquet",
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
