"""Help before a run: a first config for a dataset and a base model, and the tokens of a config's rows."""

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.data import OPTIONAL_ROLES, ROLES, default_loss
from hubtune.config.load import parse_config
from hubtune.config.reference import SCHEMA_FILE, config_keys, is_schema, schema_text
from hubtune.config.schema import TuneConfig
from hubtune.errors import ConfigError, DataError
from hubtune.files import loading, read_text, require_writable, scratch_folder
from hubtune.hub.snapshot import fetch, fetch_tokenizer
from hubtune.pin import lock_file, read_lock, resolve_pins
from hubtune.pipeline.context import data_places, require_train
from hubtune.records.base import PinSet, Progress, Record, write_atomic
from hubtune.records.data import ShownRow, ShownRows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hubtune.data.inspection import DatasetInspection
    from hubtune.data.tokenization import Example


_WIDTH = 100
_LARGEST_SCHEMA = 1 << 20


class StartRecord(Record):
    """A config that was written, what it was made from, and what the dataset's columns look like."""

    config: str
    schema_file: str
    pins: PinSet
    split: str
    columns: list[str]
    format: str


def start_config(dataset: str, base: str, path: Path, progress: Progress) -> StartRecord:
    """Writes the config at `path`, and next to it the JSON schema by which an editor completes and checks it.

    Args:
        dataset: The dataset's id on the Hub.
        base: The base model's.
        path: Where the config is written; nothing may be there. A schema of an earlier version is replaced.
        progress: Reports the steps.

    Raises:
        ConfigError: There is something at `path`, or another file in the schema's place, or an id is malformed.
        FileError: Nothing can be written there.
        HubError: The dataset or the base model are not available.
        DataError: The dataset cannot be read.
    """
    require_train("A look at the data")
    from hubtune.data.inspection import inspect_dataset

    schema_file = path.with_name(SCHEMA_FILE)
    earlier_schema = schema_file.exists() and is_schema(read_text(schema_file, most=_LARGEST_SCHEMA))
    for taken in (path, schema_file):
        if taken.exists() and not (taken == schema_file and earlier_schema):
            raise ConfigError(
                f"{taken} already exists and is not overwritten.",
                hint="Move it away, or start in another folder.",
            )
    require_writable(path.absolute().parent)
    asked = json.dumps({"base": {"repo": base}, "data": [{"repo": dataset}]})
    pins = resolve_pins(parse_config(asked, source="DATASET and BASE"), None, progress).pins
    folder = fetch(pins.data[0])
    with loading(f"{dataset} cannot be read", DataError):
        found = inspect_dataset(folder, dataset)
    text = config_text(dataset, base, found)
    parse_config(text, source=str(path))
    write_atomic(schema_file, schema_text())
    write_atomic(path, text)
    return StartRecord(
        config=str(path),
        schema_file=str(schema_file),
        pins=pins,
        split=found.split,
        columns=found.columns,
        format=found.format or ("template" if len(found.texts) > 1 else "text"),
    )


def config_text(dataset: str, base: str, found: "DatasetInspection") -> str:
    """Returns a config for a dataset that was looked at; what each key does is above it."""
    others = [split for split in found.splits if split != found.split]
    lines = [
        f"# yaml-language-server: $schema=./{SCHEMA_FILE}",
        "# Written by `hubtune init` from the columns of the dataset; change it as you like.",
        "# `hubtune config reference` lists all keys. `hubtune data show` prints rows as the model will see them, and",
        "# `hubtune check` checks everything that can be checked before training.",
        "base:",
        *_key("base.repo", base),
        "data:",
        *_key("data[].repo", dataset),
    ]
    if found.name is not None:
        lines += _key("data[].name", json.dumps(found.name), f"its configurations: {_listed(found.configurations)}")
    lines += _key("data[].split", found.split, f"{found.rows:,} rows")
    if others:
        lines += _key("data[].held_out_split", others[0], off=True)
    lines += [f"    # Its columns: {_listed(found.columns)}", *_row_lines(found)]
    lines += ["train:"]
    for key in ("method", "epochs", "batch_size", "max_length"):
        lines += _key(f"train.{key}")
    lines += [
        "evaluate:",
        *_key("evaluate.holdout"),
        *_key("evaluate.metrics", "all", off=True),
        "card:",
        *_key("card.license"),
    ]
    lines += _key("card.intended_use", "What the model is for, in a sentence or two.", off=True)
    lines += ["  # The card marks missing statements as not assessed: misuse, consent, privacy, bias and others."]
    lines += ["# publish:", *_key("publish.repo", "NAMESPACE/NAME", off=True), *_key("publish.tag", off=True)]
    return "\n".join(lines) + "\n"


def _row_lines(found: "DatasetInspection") -> list[str]:
    kind = found.format
    if kind is None and len(found.texts) == 1:
        return _key("data[].text", json.dumps(found.texts[0]))
    if kind is None:
        template = "\n".join(f"{{{column}}}" for column in found.texts) or "{COLUMN}"
        return _key("data[].template", json.dumps(template), "write your own words around the columns")
    named = {
        role: next(name for name in usual if name in found.columns)
        for role, usual in ROLES[kind].items()
        if any(name in found.columns for name in usual) or role not in OPTIONAL_ROLES
    }
    lines = [*_key("data[].format", kind), *_key("data[].columns", json.dumps(named))]
    if kind == "chat":
        lines += _key("data[].chat_template", "{file: chat.jinja}", off=True)
    if kind not in ("text", "classification"):
        lines += _key("data[].loss_on", default_loss(kind))
    return lines


def _key(path: str, value: str | None = None, note: str = "", *, off: bool = False) -> list[str]:
    """Returns a key's description as a comment, and the key with a value, its default if none is given.

    Args:
        path: The key's, such as `data[].split`.
        value: As YAML.
        note: What to say of the value.
        off: Whether the key is a comment too, to be put to use by whoever wants it.
    """
    key = config_keys()[path]
    *above, name = path.split(".")
    depth = "  " * sum(2 if section.endswith("[]") else 1 for section in above)
    first = depth.endswith("    ") and name == "repo"
    comment = textwrap.wrap(f"{key.summary}.", _WIDTH, initial_indent="# ", subsequent_indent="# ")
    line = f"{name}: {key.default if value is None else value}{f'  # {note}' if note else ''}"
    if off:
        line = f"# {line}"
    indent = depth[:-2] if first else depth
    return [*(f"{indent}{words}" for words in comment), f"{indent}{'- ' if first else ''}{line}"]


def _listed(names: list[str]) -> str:
    # One line, whatever a stranger called a column.
    return ", ".join("".join(c if c.isprintable() else "?" for c in name) for name in names)


def show_rows(config: TuneConfig, config_file: Path, count: int, progress: Progress) -> ShownRows:
    """Prepares the data of a config and returns its first training rows, then the first held out, `count` in all.

    Inputs are pinned as in a run, by the lock if there is one; no lock is written.

    Raises:
        HubError: An input is not available.
        DataError: A dataset cannot be used.
    """
    require_train("Showing data")
    from hubtune.data.prepare import DataJob, prepare
    from hubtune.models.added_tokens import add_tokens
    from hubtune.models.pretrained import context_length, load_tokenizer

    pins = resolve_pins(config, read_lock(lock_file(config_file)), progress).pins
    places = data_places(config, pins, fetch)
    with scratch_folder() as scratch:
        base = fetch_tokenizer(pins.base, scratch)
        tokenizer = load_tokenizer(base, pins.base.repo)
        add_tokens(tokenizer, config.train.added_tokens, pins.base.repo)
        context = context_length(base, pins.base.repo)
    prepared = prepare(DataJob(config, pins, places, tokenizer, progress, context))
    rows = [_shown(row, "train", tokenizer) for row in prepared.train[:count]]
    rows += [_shown(row, "held-out", tokenizer) for row in prepared.held_out[: count - len(rows)]]
    return ShownRows(rows=rows, data=prepared.record({}))


def _shown(example: "Example", part: str, tokenizer: "PreTrainedTokenizerBase") -> ShownRow:
    return ShownRow.model_validate(
        {
            "part": part,
            "input_ids": example.input_ids,
            "labels": example.labels,
            "text": example.text,
            "tokens": _texts(example.input_ids, tokenizer),
            "truncated": example.truncated,
        }
    )


def _texts(ids: Sequence[int], tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """Returns the text of each token; a token that is part of a character is in its own notation."""
    texts = [str(tokenizer.decode([token])) for token in ids]
    names = tokenizer.convert_ids_to_tokens(list(ids))
    return [name if "\ufffd" in text else text for text, name in zip(texts, names, strict=True)]
