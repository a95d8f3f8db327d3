"""Shows what the data of a config becomes, without the base model's weights and without a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.schema import TuneConfig
from hubtune.files import scratch_folder
from hubtune.hub.snapshot import fetch, fetch_tokenizer
from hubtune.pin import lock_file, read_lock, resolve_pins
from hubtune.pipeline.context import data_places, require_train
from hubtune.records.base import Progress
from hubtune.records.data import ShownRow, ShownRows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hubtune.data.tokens import Example


def show_rows(config: TuneConfig, config_file: Path, count: int, progress: Progress) -> ShownRows:
    """Prepares the data of a config and returns its first rows to train on, then the first held out, `count` in all.

    Inputs are pinned as in a run, by the lock where there is one; no lock is written.

    Raises:
        HubError: An input cannot be had.
        DataError: A data set cannot be used.
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
    """Returns the text of each token; a token that is part of a character stands in its own notation."""
    texts = [str(tokenizer.decode([token])) for token in ids]
    names = tokenizer.convert_ids_to_tokens(list(ids))
    return [name if "\ufffd" in text else text for text, name in zip(texts, names, strict=True)]
