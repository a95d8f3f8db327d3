"""Writes a first config for a data set and a base model, after a look at the data set's columns."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.data import OPTIONAL_ROLES, ROLES, default_loss
from hubtune.config.load import parse_config
from hubtune.errors import ConfigError, DataError
from hubtune.hub.snapshot import fetch
from hubtune.loading import loading
from hubtune.pin.pinning import resolve_pins
from hubtune.pipeline.extras import require_train
from hubtune.records.base import Record, write_atomic
from hubtune.records.pins import PinSet
from hubtune.records.progress import Progress

if TYPE_CHECKING:
    from hubtune.data.look import Look


class StartRecord(Record):
    """A config that was written, what it was made from, and what the data set's columns look like."""

    config: str
    pins: PinSet
    split: str
    columns: list[str]
    format: str


def start_config(dataset: str, base: str, path: Path, progress: Progress) -> StartRecord:
    """Writes the config at `path`.

    Args:
        dataset: The data set's id on the Hub.
        base: The base model's.
        path: Where the config is written; nothing may be there.
        progress: Told of the steps.

    Raises:
        ConfigError: There is something at `path`, or an id is malformed.
        HubError: The data set or the base model cannot be had.
        DataError: The data set cannot be read.
    """
    require_train("A look at the data")
    from hubtune.data.look import look_at

    if path.exists():
        raise ConfigError(
            f"{path} already exists and is not overwritten.",
            hint="Move it away, or start in another folder.",
        )
    asked = json.dumps({"base": {"repo": base}, "data": [{"repo": dataset}]})
    pins = resolve_pins(parse_config(asked, source="The request"), None, progress).pins
    folder = fetch(pins.data[0])
    with loading(f"{dataset} cannot be read", DataError):
        found = look_at(folder, dataset)
    text = config_text(dataset, base, found)
    parse_config(text, source="The config to write")
    write_atomic(path, text)
    return StartRecord(
        config=str(path),
        pins=pins,
        split=found.split,
        columns=found.columns,
        format=found.format or ("template" if len(found.texts) > 1 else "text"),
    )


def config_text(dataset: str, base: str, found: "Look") -> str:
    """Returns a config with comments for a data set that was looked at."""
    others = [split for split in found.splits if split != found.split]
    lines = [
        "# Written by `hubtune init` from the columns of the data set; change it as you like.",
        "# `hubtune data show` prints rows as the model will see them, and `hubtune check` looks at all the rest.",
        "base:",
        f"  repo: {base}",
        "data:",
        f"  - repo: {dataset}",
    ]
    if found.name is not None:
        lines.append(f"    name: {json.dumps(found.name)}  # its configurations: {_listed(found.configurations)}")
    lines.append(f"    split: {found.split}  # {found.rows:,} rows")
    if others:
        lines.append(f"    # held_out_split: {others[0]}  # measures on it instead of a tenth of {found.split}")
    lines += [f"    # Its columns: {_listed(found.columns)}", *_row_lines(found)]
    lines += [
        "train:",
        "  method: lora",
        "  epochs: 1",
        "  max_length: 512  # tokens of a row",
        "evaluate:",
        "  holdout: 0.1  # share of the rows that training does not see",
        "card:",
        "  license: auto  # the one that the inputs ask for",
        "  # What is left out stands on the card as not assessed: misuse, consent, privacy, bias, and more.",
        "  # intended_use: What the model is for, in a sentence or two.",
        "# publish:",
        "#   repo: NAMESPACE/NAME",
        "#   tag: v1.0.0",
    ]
    return "\n".join(lines) + "\n"


def _row_lines(found: "Look") -> list[str]:
    kind = found.format
    if kind is None and len(found.texts) == 1:
        return [f"    text: {json.dumps(found.texts[0])}  # this column as it is"]
    if kind is None:
        template = "\n".join(f"{{{column}}}" for column in found.texts) or "{COLUMN}"
        return [
            f"    template: {json.dumps(template)}  # how a row becomes text; write your own words around the columns"
        ]
    named = {
        role: next(name for name in usual if name in found.columns)
        for role, usual in ROLES[kind].items()
        if any(name in found.columns for name in usual) or role not in OPTIONAL_ROLES
    }
    lines = [f"    format: {kind}", f"    columns: {json.dumps(named)}"]
    if kind == "chat":
        lines.append("    # chat_template: {file: chat.jinja}  # the tokenizer's own unless you give one")
    if kind not in ("text", "classification"):
        lines.append(f"    loss_on: {default_loss(kind)}  # or all: prompts are learnt too")
    return lines


def _listed(names: list[str]) -> str:
    # One line, whatever a stranger called a column.
    return ", ".join("".join(c if c.isprintable() else "?" for c in name) for name in names)
