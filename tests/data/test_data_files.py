"""What a dataset's card names is read only if its own repository holds it; the rest is chosen as `datasets` does."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from hubtune.data.data_files import configurations, resolve_files
from hubtune.data.dataset_repo import hub_contents, snapshot_contents
from hubtune.data.rows import read_rows
from hubtune.data.streams import stream_rows
from hubtune.errors import DataError, FileError
from hubtune.records.base import Pin
from tests.sample_runs import write_json_lines

SECRET = "the diary of somebody"
ATTACKS = {
    "absolute": "{outside}/diary.jsonl",
    "file address": "file://{outside}/diary.jsonl",
    "file without slashes": "file:{outside}/diary.jsonl",
    "upper-case scheme": "FILE://{outside}/diary.jsonl",
    "upwards": "../outside/diary.jsonl",
    "upwards from within": "data/../../outside/diary.jsonl",
    "upwards behind a wildcard": "*/../../outside/diary.jsonl",
    "upwards with wildcards": "../**/diary.jsonl",
    "home": "~/diary.jsonl",
    "variable": "$HOME/diary.jsonl",
    "another repository": "hf://datasets/org/private/diary.jsonl",
    "a model's file": "hf://org/private/diary.jsonl",
    "its own address": "hf://datasets/org/s/train.jsonl",
    "http": "http://127.0.0.1:9/diary.jsonl",
    "https": "https://example.org/diary.jsonl",
    "s3": "s3://bucket/diary.jsonl",
    "chain": "zip://diary.jsonl::{outside}/diary.zip",
    "chain that ends inside": "simplecache::train.jsonl",
    "local protocol": "local://{outside}/diary.jsonl",
    "memory": "memory://diary.jsonl",
    "data in the address": "data://text/plain,x",
    "wildcards from the root": "/**/diary.jsonl",
    "drive": "C:/diary.jsonl",
    "backslashes": "..\\outside\\diary.jsonl",
    "control character": "train.jsonl\x00",
    "white space before": " {outside}/diary.jsonl",
}


def card(**configuration: object) -> str:
    return "---\n" + json.dumps({"configs": [{"config_name": "default", **configuration}]}) + "\n---\n"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    write_json_lines(tmp_path / "outside", [{"text": SECRET}], "diary.jsonl")
    return tmp_path / "outside"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_json_lines(tmp_path / "snapshot", [{"text": "Its own row."}], "train.jsonl")


@pytest.fixture
def hub(served, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", served.url)
    served.commit("org/private", {"diary.jsonl": json.dumps({"text": SECRET}).encode()}, "dataset")
    return served


def texts(folder: Path, split: str = "train", name: str | None = None) -> list[object]:
    rows = read_rows(resolve_files(snapshot_contents(folder, "org/s"), name), split)
    return [row and row["text"] for batch in rows.batches(["text"]) for row in batch]


def _pin(hub, files: Mapping[str, bytes]) -> Pin:
    commit = hub.commit("org/s", {"train.jsonl": b'{"text": "Its own row."}\n', **files}, "dataset")
    return Pin(repo="org/s", type="dataset", requested="main", commit=commit)


@pytest.mark.parametrize("pattern", ATTACKS.values(), ids=ATTACKS)
def test_a_card_that_names_a_file_elsewhere_is_refused_with_the_pattern(folder: Path, outside: Path, pattern: str):
    pattern = pattern.format(outside=outside)
    (folder / "README.md").write_text(card(data_files=pattern))

    with pytest.raises(DataError) as caught:
        texts(folder)

    assert repr(pattern) in caught.value.message
    assert SECRET not in str(caught.value.details)


@pytest.mark.parametrize(
    "configuration",
    [
        {"data_files": ["train.jsonl", "../outside/diary.jsonl"]},
        {"data_files": [{"split": "train", "path": ["train.jsonl", "{outside}/diary.jsonl"]}]},
        {"data_files": [{"split": "test", "path": "file://{outside}/diary.jsonl"}]},
        {"data_dir": "../outside"},
        {"data_dir": "{outside}"},
        {"data_dir": "data/../../outside", "data_files": "diary.jsonl"},
        {"data_dir": "file://{outside}", "data_files": "diary.jsonl"},
        {"data_dir": ".", "data_files": "../outside/*.jsonl"},
    ],
)
@pytest.mark.parametrize("file", ["README.md", ".huggingface.yaml"])
def test_every_key_that_names_files_is_kept_within_the_repository(
    folder: Path, outside: Path, configuration: dict[str, object], file: str
):
    said = card(**configuration).replace("{outside}", str(outside))
    (folder / file).write_text(said if file == "README.md" else said.strip("-\n"))

    with pytest.raises(DataError, match="names something that is not a file of it"):
        texts(folder)


def _link_file(folder: Path, outside: Path) -> None:
    (folder / "other.jsonl").symlink_to(outside / "diary.jsonl")


def _link_in_place(folder: Path, outside: Path) -> None:
    (folder / "train.jsonl").unlink()
    (folder / "train.jsonl").symlink_to("../outside/diary.jsonl")


def _link_folder(folder: Path, outside: Path) -> None:
    (folder / "data").symlink_to(outside)


def _link_twice(folder: Path, outside: Path) -> None:
    (folder / "a.jsonl").symlink_to("b.jsonl")
    (folder / "b.jsonl").symlink_to(outside / "diary.jsonl")


def _link_card(folder: Path, outside: Path) -> None:
    (outside / "README.md").write_text(card(data_files="train.jsonl"))
    (folder / "README.md").symlink_to(outside / "README.md")


def _link_loop(folder: Path, outside: Path) -> None:
    (folder / "loop.jsonl").symlink_to("loop.jsonl")


@pytest.mark.parametrize("link", [_link_file, _link_in_place, _link_folder, _link_twice, _link_card, _link_loop])
def test_a_link_that_leads_out_of_the_snapshot_is_never_followed(folder: Path, outside: Path, link):
    link(folder, outside)

    with pytest.raises(DataError, match="is a link"):
        texts(folder)


def test_the_cache_of_the_hub_client_links_to_blobs_of_the_same_repository_alone(tmp_path: Path, outside: Path):
    own, other = tmp_path / "datasets--org--s", tmp_path / "datasets--org--private"
    snapshot = own / "snapshots" / ("a" * 40)
    for blobs in (own / "blobs", other / "blobs"):
        blobs.mkdir(parents=True)
        write_json_lines(blobs, [{"text": blobs.parent.name}], "digest")
    snapshot.mkdir(parents=True)
    (snapshot / "train.jsonl").symlink_to("../../blobs/digest")

    assert texts(snapshot) == ["datasets--org--s"]

    (snapshot / "train.jsonl").unlink()
    (snapshot / "train.jsonl").symlink_to("../../../datasets--org--private/blobs/digest")
    with pytest.raises(DataError, match="out of the dataset"):
        texts(snapshot)


def test_a_named_pipe_in_the_place_of_a_file_is_refused(folder: Path):
    import os

    os.mkfifo(folder / "test.jsonl")

    with pytest.raises(DataError, match=r"test\.jsonl of org/s is not a file"):
        texts(folder)


@pytest.mark.parametrize(
    "pattern",
    [
        *("hf://datasets/org/private/diary.jsonl", "hf://datasets/org/private@main/*.jsonl", "{outside}/diary.jsonl"),
        *("../../private/diary.jsonl", "zip://x.jsonl::hf://datasets/org/private/diary.zip"),
    ],
)
def test_a_streamed_data_set_reads_no_file_elsewhere(hub, outside: Path, pattern: str):
    pattern = pattern.format(outside=outside)
    pin = _pin(hub, {"README.md": card(data_files=pattern).encode()})
    before = len(hub.requests())

    with pytest.raises(DataError, match="names something that is not a file of it"):
        stream_rows(pin, resolve_files(hub_contents(pin, "org/s"), None), "train")

    assert {line["repo"] for line in hub.requests()[before:]} == {"org/s"}
    assert {line["revision"] for line in hub.requests()[before:]} == {pin.commit}


def test_a_streamed_archive_under_another_name_is_refused(hub):
    pin = _pin(hub, {"data/rows.ndjson": b"PK\x03\x04", "README.md": card(data_files="data/*").encode()})

    with pytest.raises(DataError, match=r"rows\.ndjson of org/s is an archive under another name"):
        stream_rows(pin, resolve_files(hub_contents(pin, "org/s"), None), "train")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_archive_under_the_name_of_a_table_is_not_unpacked(folder: Path, tmp_path: Path, kind: str):
    import shutil

    form = {"zip": "zip", "tar": "tar", "tar.gz": "gztar"}[kind]
    made = shutil.make_archive(str(tmp_path / "made"), form, folder)
    Path(made).rename(folder / "train.jsonl")

    with pytest.raises(DataError, match=r"train\.jsonl of org/s is an archive under another name"):
        texts(folder)


def test_a_compressed_table_is_read(folder: Path):
    import gzip

    plain = folder / "train.jsonl"
    (folder / "train.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()

    assert texts(folder) == ["Its own row."]


@pytest.mark.parametrize("stated", ["card", "file"])
def test_cells_that_name_pictures_are_never_opened(tmp_path: Path, stated: str, outside: Path):
    import datasets
    import pyarrow as pa
    from pyarrow import parquet

    place = {"bytes": None, "path": str(outside / "diary.jsonl")}
    table = pa.Table.from_pylist([{"text": "A row.", "picture": place}])
    features = datasets.Features({"text": datasets.Value("string"), "picture": datasets.Image()})
    if stated == "file":
        table = table.cast(features.arrow_schema)
    info = json.dumps({"features": [{"name": "text", "dtype": "string"}, {"name": "picture", "dtype": "image"}]})
    parquet.write_table(table, tmp_path / "train.parquet")
    if stated == "card":
        (tmp_path / "README.md").write_text(
            card(data_files="*.parquet").replace("}]}", f'}}], "dataset_info": {info}}}')
        )

    rows = read_rows(resolve_files(snapshot_contents(tmp_path, "org/s"), None), "train")

    assert [row for batch in rows.batches(["text"]) for row in batch] == [{"text": "A row."}]
    with pytest.raises(DataError, match="'picture' of org/s is of the type Image, whose files are not opened"):
        list(rows.batches(["text", "picture"]))


@pytest.mark.parametrize(
    "name", ["audio.wav", "picture.png", "rows.h5", "rows.xml", "log.eval", "rows.lance", "task.toml"]
)
def test_files_that_other_readers_would_open_are_refused(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / "metadata.csv").write_text(f"file_name,text\n{name},x\n../../../etc/passwd,y\n")
    (tmp_path / "README.md").write_text(card(data_files=name))

    with pytest.raises(DataError, match=r"cannot be read as a dataset|has no file"):
        texts(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("README.md", "---\nconfigs: &a [*a]\n---\n"),
        ("README.md", "---\nconfigs: {a: 1}\n---\n"),
        ("README.md", "---\nconfigs: [{data_files: train.jsonl}]\n---\n"),
        ("README.md", "---\nconfigs: [{config_name: a, data_files: [{split: ../x, path: train.jsonl}]}]\n---\n"),
        ("README.md", "---\nconfigs: [{config_name: a, data_files: {train: train.jsonl}}]\n---\n"),
        ("README.md", "---\nconfigs: [{config_name: a, data_files: [1]}]\n---\n"),
        ("README.md", "---\ndataset_info: {features: [{name: text, dtype: 7}]}\n---\n"),
        ("README.md", "---\na: [\n---\n"),
        (".huggingface.yaml", "- a\n"),
        ("dataset_infos.json", "{"),
        ("dataset_infos.json", "[]"),
    ],
)
def test_a_card_that_cannot_be_understood_is_an_error_that_names_its_file(folder: Path, file: str, content: str):
    (folder / file).write_text(content)

    with pytest.raises(DataError, match="of org/s cannot be read, and it says which files are its data"):
        texts(folder)


def test_a_card_in_another_encoding_is_named_with_the_place(folder: Path):
    (folder / "README.md").write_bytes(b"---\npretty_name: caf\xe9\n---\n")

    with pytest.raises(DataError, match=r"README\.md of org/s .* the first byte that is not is byte 21$"):
        texts(folder)


def test_options_that_would_change_rows_are_followed_or_refused(folder: Path):
    (folder / "rows.json").write_text(json.dumps({"inner": [{"text": "Within."}]}))
    (folder / "README.md").write_text(card(data_files="rows.json", field="inner"))
    assert texts(folder) == ["Within."]

    (folder / "README.md").write_text(card(data_files="train.jsonl", on_mixed_types=None))
    with pytest.raises(DataError, match="on_mixed_types"):
        texts(folder)


def test_a_pattern_of_many_wildcards_is_resolved_at_once(folder: Path):
    (folder / ("a" * 200 + ".jsonl")).write_text('{"text": "x"}\n')
    (folder / "README.md").write_text(card(data_files="**/" * 300 + "*a" * 300 + "b"))

    with pytest.raises(DataError, match="org/s"):
        texts(folder)


SHARDS = [f"data/{split}-0000{n}-of-00002.jsonl" for split in ("train", "odd_one", "test") for n in range(2)]
BENIGN: dict[str, tuple[list[str], dict[str, object] | None]] = {
    "one file": (["rows.jsonl"], None),
    "by file name": (["train.jsonl", "my-test.1.jsonl", "valid.jsonl"], None),
    "by folder": (["train/a.jsonl", "train/b.jsonl", "deep/testing/c.jsonl", "dev_set/d.jsonl"], None),
    "folders before names": (["test/train.jsonl", "train.jsonl"], None),
    "shards": ([*SHARDS, "other.jsonl"], None),
    "hidden and special": ([".hidden/x.jsonl", "__pycache__/y.jsonl", ".z.jsonl", "rows.jsonl"], None),
    "other files beside": (["rows.jsonl", "LICENSE", "notes.txt", "config.json", "dataset_dict.json"], None),
    "most common ending": (["a.csv", "b.csv", "c.jsonl"], None),
    "tie of endings": (["a.csv", "c.jsonl"], None),
    "tables of tabs": (["train.tsv"], None),
    "text": (["train.txt", "test.txt"], None),
    "compressed": (["train.jsonl.gz", "train-2.jsonl"], None),
    "one pattern": (["a/1.jsonl", "a/2.jsonl", "b/3.jsonl"], {"data_files": "a/*.jsonl"}),
    "list of patterns": (["a/1.jsonl", "b/3.jsonl", "c.jsonl"], {"data_files": ["b/*", "a/*"]}),
    "a file twice": (["a/1.jsonl"], {"data_files": ["a/*", "**/1.jsonl"]}),
    "by split": (["x.jsonl", "y.jsonl"], {"data_files": [{"split": "y.z", "path": "y.jsonl"}]}),
    "lists by split": (
        ["a/1.jsonl", "b/3.jsonl", "c.jsonl"],
        {"data_files": [{"split": "t", "path": ["c.jsonl", "b/*"]}, {"split": "a", "path": "./a//1.jsonl"}]},
    ),
    "stars at any depth": (["a/1.jsonl", "a/b/2.jsonl", "a/b/c/3.jsonl"], {"data_files": "a/**/*.jsonl"}),
    "star at the end": (["a/1.jsonl", "a/b/2.jsonl", "x.jsonl"], {"data_files": "a/**"}),
    "stars around": (["a/x/1.jsonl", "b/c/x/d/2.jsonl", "x/3.jsonl", "4.jsonl"], {"data_files": "**/x/**"}),
    "sets of characters": (["a1.jsonl", "a2.jsonl", "b1.jsonl", "a!.jsonl"], {"data_files": "[a-b][!2].jsonl"}),
    "question mark": (["a1.jsonl", "a22.jsonl"], {"data_files": "a?.jsonl"}),
    "hidden on purpose": ([".h/1.jsonl", "g/2.jsonl"], {"data_files": ".h/*"}),
    "nothing for a wildcard": (["a.jsonl"], {"data_files": ["b*.jsonl", "a.jsonl"]}),
    "ignored on purpose": (["config.json", "a.json"], {"data_files": ["config.json"]}),
    "folder": (["en/train.jsonl", "en/test.jsonl", "de/train.jsonl"], {"data_dir": "en"}),
    "pattern in a folder": (["en/train.jsonl", "train.jsonl"], {"data_dir": "en", "data_files": "*.jsonl"}),
    "shards in a folder": ([f"en/{name}" for name in SHARDS], {"data_dir": "en"}),
    "up within the repository": (["en/a.jsonl", "b.jsonl"], {"data_files": "en/../b.jsonl"}),
}


@pytest.mark.parametrize("case", BENIGN)
def test_files_are_chosen_as_datasets_chooses_them(tmp_path: Path, case: str):
    import datasets

    names, configuration = BENIGN[case]
    root = tmp_path / "snapshot"
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text('{"text": "x"}\n')
    root.joinpath("README.md").write_text("# Rows\n" if configuration is None else card(**configuration))
    builder = datasets.load_dataset_builder(str(root))
    expected = {
        str(split): [Path(place).resolve().relative_to(root.resolve()).as_posix() for place in places]
        for split, places in builder.config.data_files.items()
    }

    files = resolve_files(snapshot_contents(root, "org/s"), None)

    assert {split: list(found) for split, found in files.splits.items()} == expected
    assert list(files.splits) == list(expected)
    assert files.reader == builder.name


def test_several_configurations_are_told_apart_as_datasets_does(tmp_path: Path):
    import datasets

    write_json_lines(tmp_path / "a", [{"text": "a"}], "train.jsonl")
    write_json_lines(tmp_path / "b", [{"text": "b"}], "test.jsonl")
    stated = [{"config_name": "a", "data_dir": "a"}, {"config_name": "b", "data_files": "b/*", "default": True}]
    (tmp_path / "README.md").write_text("---\n" + json.dumps({"configs": stated}) + "\n---\n")

    assert configurations(snapshot_contents(tmp_path, "org/s")) == datasets.get_dataset_config_names(str(tmp_path))
    assert texts(tmp_path) == ["b"]
    assert texts(tmp_path, name="a") == ["a"]
    with pytest.raises(DataError, match="org/s has no configuration 'c'; it has: a, b"):
        texts(tmp_path, name="c")


def test_types_and_names_of_classes_that_the_card_states_are_used(tmp_path: Path):
    write_json_lines(tmp_path, [{"text": "x", "label": 1}], "train.jsonl")
    types = [
        {"name": "text", "dtype": "string"},
        {"name": "label", "dtype": {"class_label": {"names": {"0": "no", "1": "yes"}}}},
    ]
    info = {"features": types, "splits": [{"name": "train", "num_examples": 1}]}
    (tmp_path / "README.md").write_text("---\n" + json.dumps({"dataset_info": info}) + "\n---\n")

    files = resolve_files(snapshot_contents(tmp_path, "org/s"), None)

    assert read_rows(files, "train").class_names == {"label": ("no", "yes")}
    assert files.rows == {"train": 1}


@pytest.mark.parametrize("place", ["blobs", "snapshots", "snapshots/main"])
def test_a_folder_of_the_cache_that_is_a_link_is_not_read(tmp_path: Path, place: str):
    repository = tmp_path / "hub" / "datasets--org--s"
    (repository / "snapshots" / "main").mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "blobs" / "0").write_text('{"text": "private"}\n')
    (repository / "snapshots" / "main" / "train.jsonl").symlink_to("../../blobs/0")
    assert snapshot_contents(repository / "snapshots" / "main", "org/s").names == ["train.jsonl"]
    (repository / place).rename(tmp_path / "diary")
    (repository / place).symlink_to(tmp_path / "diary")

    with pytest.raises(FileError, match="is a symbolic link, which is not followed within the cache"):
        snapshot_contents(repository / "snapshots" / "main", "org/s")
