"""The data stage: pinned data sets become the examples to train on and to measure on, and a record of how.

The same config, pins and tokenizer give the same examples, so later stages prepare them again and compare the
fingerprints instead of storing the rows a second time.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.schema import TuneConfig
from hubtune.data.rows import read_rows
from hubtune.data.split import METHOD, held_out_mask
from hubtune.data.texts import render_rows
from hubtune.data.tokens import Example, encode
from hubtune.errors import EmptySplitError, RecordError
from hubtune.hub.cards import languages_of
from hubtune.records.data import DataRecord, SourceRecord, SplitRecord
from hubtune.records.pins import PinSet
from hubtune.records.progress import Progress

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Prepared:
    """The examples of a run, and where they came from."""

    train: list[Example]
    held_out: list[Example]
    sources: list[SourceRecord]
    held_out_left_out: int
    max_length: int

    def record(self, upstream: dict[str, str]) -> DataRecord:
        """Returns the data record."""
        return DataRecord(
            upstream=upstream,
            sources=self.sources,
            train=_count(self.train),
            held_out=_count(self.held_out, self.held_out_left_out),
            split_method=METHOD,
            max_length=self.max_length,
        )

    def check(self, record: DataRecord) -> None:
        """Refuses examples that are not the ones the record tells of.

        Raises:
            RecordError: The rows or their tokens differ.
        """
        if self.record(record.upstream) != record:
            raise RecordError(
                "The data differs from what data.json recorded, though config and pins are the same; "
                "another version of a library may read or tokenise it differently.",
                hint="Start a new run: hubtune run",
            )


def prepare(
    config: TuneConfig,
    pins: PinSet,
    folders: Sequence[Path],
    tokenizer: "PreTrainedTokenizerBase",
    progress: Progress,
    *,
    context: int | None = None,
) -> Prepared:
    """Reads, renders, splits and encodes all data sets of a run.

    Args:
        config: The run's config.
        pins: The run's pins.
        folders: The snapshot's folder of each data set, in the config's order.
        tokenizer: The base model's tokenizer.
        progress: Told of each data set.
        context: The most tokens that the base model can read; None where it sets no limit.

    Raises:
        DataError: A data set cannot be used; the subclass and the message say why.
    """
    texts: list[str] = []
    sources: list[SourceRecord] = []
    with progress.task("Reading the data", len(config.data)) as task:
        for entry, pin, folder in zip(config.data, pins.data, folders, strict=True):
            rendered = render_rows(read_rows(folder, entry), entry.row_template)
            if not rendered.kept:
                raise EmptySplitError(
                    f"No row of {entry.repo} ({entry.split}) can be used: "
                    + ", ".join(f"{count} times {reason}" for reason, count in rendered.dropped.items()),
                    hint="Look at the columns that the template names.",
                )
            texts += rendered.kept
            sources.append(
                SourceRecord(
                    repo=pin.repo,
                    commit=pin.commit,
                    name=entry.name,
                    split=entry.split,
                    format=entry.row_format,
                    template=entry.row_template,
                    rows=rendered.rows,
                    kept=len(rendered.kept),
                    dropped=rendered.dropped,
                    languages=languages_of(folder),
                    prompt=rendered.prompt,
                    fingerprint=rendered.fingerprint,
                )
            )
            task.advance(note=f"{pin.repo}: {len(rendered.kept)} of {rendered.rows} rows kept")
    mask = held_out_mask(texts, config.evaluate.holdout, config.evaluate.seed)
    if not any(mask):
        raise EmptySplitError(
            "All rows have the same text, so none can be held out to measure on.",
            hint="Use a data set with more than one distinct row.",
        )
    held_out = [text for text, held in zip(texts, mask, strict=True) if held]
    train = [text for text, held in zip(texts, mask, strict=True) if not held]
    limit = config.evaluate.max_items or len(held_out)
    measured = random.Random(config.evaluate.seed).sample(held_out, min(limit, len(held_out)))  # noqa: S311 - no secret
    length = min(config.train.max_length, context or config.train.max_length)
    if length < config.train.max_length:
        progress.warn(f"{pins.base.repo} reads at most {length} tokens: rows are cut there, before train.max_length")
    return Prepared(
        train=encode(train, tokenizer, length),
        held_out=encode(measured, tokenizer, length),
        sources=sources,
        held_out_left_out=len(held_out) - len(measured),
        max_length=length,
    )


def _count(examples: Sequence[Example], left_out: int = 0) -> SplitRecord:
    return SplitRecord(
        rows=len(examples),
        tokens=sum(len(example.input_ids) for example in examples),
        truncated=sum(example.truncated for example in examples),
        left_out=left_out,
    )
