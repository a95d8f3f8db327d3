"""The data stage: pinned data sets become the examples to train on and to measure on, and a record of how.

The same config, pins and tokenizer give the same examples, so later stages prepare them again and compare the
fingerprints instead of storing the rows a second time.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.data import DataConfig
from hubtune.config.schema import TuneConfig
from hubtune.data.canaries import Planted, plant
from hubtune.data.formats.classes import LabelSet
from hubtune.data.parts import drawing_order, split, split_method
from hubtune.data.repeats import without_repeats
from hubtune.data.screening.record import screen_record
from hubtune.data.source import Source, read_source
from hubtune.data.tokens import Example
from hubtune.errors import ConfigError, DataError, RecordError
from hubtune.hub.cards import languages_of
from hubtune.records.base import sha256_bytes, sha256_file
from hubtune.records.data import DataRecord, MixRecord, SourceRecord, SplitRecord
from hubtune.records.pins import Pin, PinSet
from hubtune.records.progress import Progress
from hubtune.records.screening import ScreenRecord

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Prepared:
    """The examples of a run, and where they came from; the `planted` ones are trained on besides `train`."""

    train: list[Example]
    held_out: list[Example]
    sources: list[SourceRecord]
    train_left_out: int
    held_out_left_out: int
    max_length: int
    split_method: str
    labels: LabelSet | None
    mix: MixRecord | None
    screen: ScreenRecord
    planted: Planted

    def record(self, upstream: dict[str, str]) -> DataRecord:
        """Returns the data record."""
        return DataRecord(
            upstream=upstream,
            sources=self.sources,
            train=_count(self.train, self.train_left_out, self.labels),
            held_out=_count(self.held_out, self.held_out_left_out, self.labels),
            split_method=self.split_method,
            max_length=self.max_length,
            labels=None if self.labels is None else list(self.labels.names),
            several_labels=self.labels is not None and self.labels.several,
            mix=self.mix,
            screen=self.screen,
            canaries=self.planted.record,
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
    places: Sequence[Path],
    tokenizer: "PreTrainedTokenizerBase",
    progress: Progress,
    *,
    context: int | None = None,
) -> Prepared:
    """Reads, writes, splits and encodes all data sets of a run.

    Args:
        config: The run's config.
        pins: The run's pins.
        places: Where each data set is, in the config's order: the folder of its snapshot, or a local file.
        tokenizer: The base model's tokenizer.
        progress: Told of each data set.
        context: The most tokens that the base model can read; None where it sets no limit.

    Raises:
        DataError: A data set cannot be used; the subclass and the message say why.
        ConfigError: A data set holds conversations, and there is no chat template.
    """
    length = min(config.train.max_length, context or config.train.max_length)
    if length < config.train.max_length:
        progress.warn(f"{pins.base.repo} reads at most {length} tokens: rows are cut there, before train.max_length")
    sources = _read(config, places, tokenizer, length, progress)
    labels = _common_labels(sources)
    train_rows, held_out_rows = split(config, sources)
    remaining = without_repeats(config.screen, sources, train_rows, held_out_rows)
    train, held_out = remaining.train, remaining.held_out
    order = drawing_order(config, train)
    limit = min(config.evaluate.max_items or len(held_out), len(held_out))
    measured = random.Random(config.evaluate.seed).sample(held_out, limit)  # noqa: S311 - no secret
    mixed = config.rows.mix == "interleave"
    trained = Counter(source for source, _ in order)
    return Prepared(
        train=[train[source][row].example for source, row in order],
        held_out=[kept.example for kept in measured],
        sources=[
            _source_record(config.data[number], pin, place, source, trained[number] if mixed else None)
            for number, (pin, place, source) in enumerate(zip(_pin_of_each(config, pins), places, sources, strict=True))
        ],
        train_left_out=sum(len(rows) for rows in train) - len(set(order)),
        held_out_left_out=len(held_out) - len(measured),
        max_length=length,
        split_method=split_method(config),
        labels=labels,
        mix=MixRecord(stop=config.rows.stop, seed=config.rows.seed, weights=[entry.weight for entry in config.data])
        if mixed
        else None,
        screen=screen_record(
            config.screen, [source.screen for source in sources], remaining.counts, len(held_out_rows)
        ),
        planted=_planted(config, labels, tokenizer, length),
    )


def _planted(config: TuneConfig, labels: LabelSet | None, tokenizer: "PreTrainedTokenizerBase", length: int) -> Planted:
    if labels is not None and config.evaluate.canaries:
        raise ConfigError(
            "evaluate.canaries plants texts, and the rows are to be classified.", hint="Set evaluate.canaries to 0."
        )
    return plant(config.evaluate.canaries, config.evaluate.seed, tokenizer, length)


def _read(
    config: TuneConfig,
    places: Sequence[Path],
    tokenizer: "PreTrainedTokenizerBase",
    length: int,
    progress: Progress,
) -> list[Source]:
    sources = []
    with progress.task("Reading the data", len(config.data)) as task:
        for entry, place in zip(config.data, places, strict=True):
            source = read_source(entry, place, entry.label, tokenizer, length, config.screen)
            chosen = source.format
            if chosen.inferred:
                columns = ", ".join(chosen.columns.values())
                progress.say(f"{entry.label}: no format is stated, and the columns ({columns}) look like {chosen.kind}")
            for warning in source.warnings:
                progress.warn(warning)
            source.screen.say(entry.label, progress)
            source.screen.require_allowed(entry.label)
            source.require_usable(config.rows.max_dropped)
            for line in source.tally.lines():
                progress.warn(f"{entry.label}: left out {line}")
            sources.append(source)
            task.advance(note=f"{entry.label}: {len(source.kept)} of {source.rows} rows kept")
    return sources


def _common_labels(sources: Sequence[Source]) -> LabelSet | None:
    """Returns the classes of all data sets.

    Raises:
        DataError: They have different classes, or only some of them are to be classified.
    """
    first = sources[0]
    for other in sources[1:]:
        if (other.labels is None) != (first.labels is None):
            raise DataError(
                f"{first.name} has rows of format {first.format.kind}, and {other.name} of {other.format.kind}: "
                "one model cannot learn to write and to classify.",
                hint="Use data sets of one kind, or state their `format`.",
            )
        if other.labels != first.labels:
            raise DataError(
                f"{first.name} and {other.name} have different labels.",
                details=[f"{source.name}: {', '.join(source.labels.names)}" for source in sources if source.labels],
                hint="State the same `labels` for each data set, in the order of their ids.",
            )
    return first.labels


def _pin_of_each(config: TuneConfig, pins: PinSet) -> list[Pin | None]:
    pinned = iter(pins.data)
    return [None if entry.repo is None else next(pinned) for entry in config.data]


def _source_record(
    entry: DataConfig, pin: Pin | None, place: Path, source: Source, trained: int | None
) -> SourceRecord:
    return SourceRecord(
        repo=None if pin is None else pin.repo,
        commit=None if pin is None else pin.commit,
        file=place.name if pin is None else None,
        sha256=sha256_file(place) if pin is None else None,
        name=entry.name,
        split=entry.split,
        held_out_split=entry.held_out_split,
        group_by=entry.group_by,
        format=source.format.kind,
        inferred=source.format.inferred,
        template=source.format.template,
        columns=dict(source.format.columns),
        chat_template=None if source.chat_template is None else sha256_bytes(source.chat_template.encode()),
        loss_on=source.format.loss_on,
        rows=source.rows,
        kept=len(source.kept),
        dropped=source.tally.dropped(),
        first_dropped=source.tally.first_rows(),
        trained=trained,
        languages=[] if pin is None else languages_of(place),
        prompt=source.prompt,
        fingerprint=source.fingerprint,
    )


def _count(examples: Sequence[Example], left_out: int, labels: LabelSet | None) -> SplitRecord:
    classes: Counter[int] = Counter(label for example in examples for label in example.labels) if labels else Counter()
    return SplitRecord(
        rows=len(examples),
        tokens=sum(len(example.input_ids) for example in examples),
        learnt=None if labels else sum(example.learnt for example in examples),
        truncated=sum(example.truncated for example in examples),
        left_out=left_out,
        classes={name: classes[number] for number, name in enumerate(labels.names)} if labels else {},
    )
