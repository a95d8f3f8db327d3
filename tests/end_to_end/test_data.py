"""`hubtune init` and `hubtune data show`: what the data becomes, seen before anything is trained."""

import hashlib
import json
from pathlib import Path

import jsonschema
import yaml

from hubtune.errors import DataError
from tests.end_to_end.worlds import TARGET, quote_rows, write_rows
from tests.odd_tables import ODD_TABLES


def test_a_first_config_is_written_from_the_columns_and_its_rows_are_shown_as_the_model_will_see_them(world):
    (world.work / "hubtune.yaml").unlink()

    written = world.done("init", "lab/quotes", "lab/gpt2", "--hub", world.hub)
    asked = ("data", "show", "-n", "3", "-s", "data[0].loss_on=completion", "--hub", world.hub)
    plain = world.done(*asked)
    shown = world.done("--json", *asked)

    assert "author, quote of lab/quotes (train) as template" in written.out
    text = (world.work / "hubtune.yaml").read_text()
    assert yaml.safe_load(text)["data"] == [{"repo": "lab/quotes", "split": "train", "template": "{author}\n{quote}"}]
    assert text.startswith("# yaml-language-server: $schema=./hubtune.schema.json\n")
    schema = world.work / "hubtune.schema.json"
    assert schema.read_text() == world.done("config", "schema").out == world.done("--json", "config", "schema").out
    jsonschema.validate(yaml.safe_load(text), json.loads(schema.read_text()))
    # On a pipe, what carries loss stands in brackets.
    assert "[<|endoftext|>]" in plain.out
    assert "\x1b" not in plain.out
    rows = shown.document["rows"]
    assert len(rows) == 3
    for row in rows:
        assert len(row["input_ids"]) == len(row["labels"]) == len(row["tokens"])
        learnt = [token for token, label in zip(row["tokens"], row["labels"], strict=True) if label != -100]
        author, _, quote = row["text"].partition("\n")
        assert author.startswith("the ")
        assert "".join(learnt) == quote + "<|endoftext|>"
    assert not [line for line in world.requests() if "safetensors" in line["path"]]
    assert not (world.work / "hubtune.lock").exists()


def test_a_release_trained_on_a_local_file_names_the_file_and_its_digest_and_never_its_folder(world):
    rows = [{"prompt": f"The {row['author']} says:", "completion": " " + row["quote"]} for row in quote_rows(40)]
    write_rows(world.work / "notes" / "rows.jsonl", rows)
    world.config(data__template=None, data__repo=None, data__path="notes/rows.jsonl", data__license="cc0-1.0")
    digest = hashlib.sha256((world.work / "notes" / "rows.jsonl").read_bytes()).hexdigest()

    world.done("run", "--push", "--hub", world.hub, "--run-dir", "run", "-s", "train.epochs=1")

    (source,) = world.record("data.json")["sources"]
    assert (source["repo"], source["file"], source["sha256"]) == (None, "rows.jsonl", digest)
    assert (source["format"], source["loss_on"], source["kept"]) == ("prompt_completion", "completion", 40)
    assert world.record("pins.json")["data"] == []
    assert world.record("training.json")["tokens"] == world.record("data.json")["train"]["learnt"]
    measure = world.record("evaluation.json")["measures"][0]
    assert measure["tokens"] == world.record("data.json")["held_out"]["learnt"]
    with world.served() as api:
        folder = api.snapshot_download(TARGET, local_dir=world.root / "released")
    published = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and ".cache" not in path.parts
    }
    card = published["README.md"].decode()
    assert "rows.jsonl" in card
    assert digest in card
    assert "datasets" not in yaml.safe_load(card.split("---")[1])
    assert not [name for name, content in published.items() if b"notes/" in content]
    assert not [name for name, content in published.items() if str(world.root).encode() in content]


def test_a_streamed_data_set_is_trained_on_without_its_files_and_read_from_the_cache_by_the_next_stage(world):
    world.config(data__streaming=True)
    before = len(world.requests())

    world.done("run", "--hub", world.hub, "--run-dir", "run", "-s", "train.epochs=1")
    asked = [line for line in world.requests()[before:] if line["path"].endswith("train.jsonl")]
    # No Hub is there.
    again = world.done("evaluate", "run")

    (pin,) = world.record("pins.json")["data"]
    assert {line["revision"] for line in asked} == {pin["commit"]}
    assert len([line for line in world.requests()[before:] if line["path"].endswith("train.jsonl")]) == len(asked) > 0
    assert not list((world.root / "home" / "hub").rglob("train.jsonl"))
    assert "already encoded and are read from the cache" in again.err
    (source,) = world.record("data.json")["sources"]
    assert source["rows"] == source["kept"] + sum(source["dropped"].values()) > 0


def test_every_cell_of_odd_tables_is_shown_as_the_csv_module_reads_it(world):
    entries, expected = [], set()
    for number, table in enumerate(ODD_TABLES.values()):
        rows = table.cells()
        if sum(len(cell or "") for cell in rows[0].values()) > 1000:
            # It does not fit a tiny model's context, and is cut.
            continue
        path = world.work / "tables" / str(number) / table.name
        path.parent.mkdir(parents=True)
        path.write_bytes(table.content)
        columns = [column for column in rows[0] if any(_usable(row[column]) for row in rows)]
        template = f"{number}: " + "|".join(f"{{{column}}}" for column in columns)
        entries.append({"path": str(path), "license": "cc0-1.0", "template": template})
        if table.encoding != "utf-8":
            entries[-1]["encoding"] = table.encoding
        filled = [[row[column] for column in columns] for row in rows]
        expected |= {f"{number}: " + "|".join(map(str, cells)) for cells in filled if all(map(_usable, cells))}
    config = yaml.safe_load(world.config().read_text())
    kinds = ("secret", "card_number", "iban", "email", "phone", "ip_address", "duplicates", "contamination")
    config.update(data=entries, rows={"max_dropped": 1, "workers": 1}, screen=dict.fromkeys(kinds, "report"))
    (world.work / "hubtune.yaml").write_text(yaml.safe_dump(config))

    shown = world.done("--json", "data", "show", "-n", "100000", "--hub", world.hub, "-s", "train.max_length=512")

    assert {row["text"] for row in shown.document["rows"]} == expected
    assert len(expected) > 20_000
    said = {source["separator"] for source in shown.document["data"]["sources"]}
    assert said == {",", ";", "\t"}


def _usable(cell: str | None) -> bool:
    return bool(cell and cell.strip()) and "\0" not in cell


def test_text_in_another_encoding_is_refused_with_its_place_and_what_to_do(world):
    (world.work / "rows.csv").write_bytes(b'text\n"Caf\xe9"\n')
    world.config(data__template=None, data__repo=None, data__path="rows.csv", data__text="text")

    world.hubtune("data", "show", "--hub", world.hub).refused(
        DataError, "rows.csv is not UTF-8", "byte 10 (offset 9), on line 2", "data[].encoding"
    )
