"""The data stage: turns pinned datasets into training and held-out examples, and records how.

The same config, pins and tokenizer give the same examples. So later stages prepare them again, from the cache, and
compare the fingerprints. Examples are on disk; memory grows by a few dozen bytes per row.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hubtune.config.data import DataConfig
from hubtune.config.schema import TuneConfig
from hubtune.config.training import EarlierConfig
from hubtune.data.canaries import Planted, plant
from hubtune.data.data_files import PinnedData
from hubtune.data.formats.row_format import LabelSet
from hubtune.data.partition import AllRows, EarlierRows, choose_earlier, drawing_order, split, split_method
from hubtune.data.row_batches import EncodingSettings
from hubtune.data.screening.deduplication import without_repeats
from hubtune.data.screening.screen import screen_record
from hubtune.data.segments import READABLE
from hubtune.data.source import Source, read_source
from hubtune.data.split import seeded
from hubtune.data.store import Examples
from hubtune.errors import ConfigError, DataError, RecordError
from hubtune.files import loading
from hubtune.hub.license_facts import languages_of
from hubtune.records.base import Pin, PinSet, Progress, sha256_bytes
from hubtune.records.data import DataRecord, EarlierDataRecord, MixRecord, ScreenRecord, SourceRecord, SplitRecord

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class PreparedEarlier:
    """The rows of an earlier task, and the record of them."""

    rows: EarlierRows
    record: EarlierDataRecord


@dataclass(frozen=True)
class Prepared:
    """The examples of a run and their sources; the `planted` canaries are trained on in addition to `train`.

    The held-out loss during training is measured on `validation` or, if that is None, on `held_out`.
    """

    train: Examples
    held_out: Examples
    sources: list[SourceRecord]
    train_left_out: int
    held_out_left_out: int
    max_length: int
    split_method: str
    labels: LabelSet | None
    mix: MixRecord | None
    screen: ScreenRecord
    planted: Planted
    earlier: PreparedEarlier | None = None
    validation: Examples | None = None

    @property
    def watched(self) -> Examples:
        """The rows to measure during the training."""
        return self.held_out if self.validation is None else self.validation

    @property
    def unseen(self) -> Examples:
        """All rows that are not trained on."""
        return self.held_out if self.validation is None else self.held_out.followed_by(self.validation)

    @property
    def train_with_replay(self) -> Examples:
        """The training set: the training rows, followed by replayed rows of the earlier task."""
        if self.earlier is None or not len(self.earlier.rows.replayed):
            return self.train
        return self.train.followed_by(self.earlier.rows.replayed)

    def record(self, upstream: dict[str, str]) -> DataRecord:
        """Returns the data record."""
        return DataRecord(
            upstream=upstream,
            sources=self.sources,
            train=_count(self.train, self.train_left_out, self.labels),
            held_out=_count(self.held_out, self.held_out_left_out, self.labels),
            validation=None if self.validation is None else _count(self.validation, 0, self.labels),
            split_method=self.split_method,
            max_length=self.max_length,
            labels=None if self.labels is None else list(self.labels.names),
            several_labels=self.labels is not None and self.labels.several,
            mix=self.mix,
            screen=self.screen,
            canaries=self.planted.record,
            earlier=None if self.earlier is None else self.earlier.record,
        )

    def check(self, record: DataRecord) -> None:
        """Refuses examples that differ from the record.

        Raises:
            RecordError: The rows or their tokens differ.
        """
        if _without_unnoted(self.record(record.upstream), record) != record:
            raise RecordError(
                "The data differs from what data.json recorded, though config and pins are the same; "
                "another version of a library may read or tokenize it differently.",
                hint="Start a new run: hubtune run",
            )


@dataclass(frozen=True)
class DataJob:
    """The datasets to prepare, and the settings for encoding their rows.

    Attributes:
        config: The run's config.
        pins: The run's pins.
        places: Where each dataset is, in the config's order: the folder of its snapshot, or a local file; those of the
            earlier task last.
        tokenizer: The base model's tokenizer.
        progress: Reports each dataset.
        context_length: The most tokens that the base model can read; None if it sets no limit.
    """

    config: TuneConfig
    pins: PinSet
    places: Sequence[Path]
    tokenizer: "PreTrainedTokenizerBase"
    progress: Progress
    context_length: int | None = None

    @property
    def new_task(self) -> "DataJob":
        """The job without the earlier task."""
        return replace(self, places=self.places[: len(self.config.data)])

    def earlier_task(self, earlier: EarlierConfig) -> "DataJob":
        """Returns the job of the earlier task alone; its rows are read and split as those of the run itself are."""
        config = self.config
        evaluate = config.evaluate.model_copy(update={"holdout": earlier.holdout, "canaries": 0, "validation": None})
        rows = config.rows.model_copy(update={"mix": "concatenate"})
        changed = {"data": earlier.data, "earlier": None, "evaluate": evaluate, "rows": rows}
        return replace(
            self,
            config=config.model_copy(update=changed),
            pins=PinSet(base=self.pins.base, data=self.pins.earlier),
            places=self.places[len(config.data) :],
        )


def prepare(job: DataJob) -> Prepared:
    """Reads, formats, splits and encodes all datasets of a run, and those of an earlier task.

    Raises:
        DataError: A dataset cannot be used; the subclass and the message say why.
        ConfigError: A dataset holds conversations, and there is no chat template.
    """
    config = job.config
    new = _prepare_task(job.new_task)
    if config.earlier is None:
        return new
    old = _prepare_task(job.earlier_task(config.earlier))
    _require_text(new, old)
    rows = choose_earlier(config.earlier, old.train, old.held_out, (new.train, new.unseen), config.rows.seed)
    record = EarlierDataRecord(
        sources=old.sources,
        train=_count(old.train, 0, None),
        held_out=_count(rows.held_out, old.held_out_left_out, None),
        replayed=_count(rows.replayed, 0, None),
        matter=len(rows.fisher),
        left_out=rows.left_out,
        split_method=old.split_method,
        screen=old.screen,
    )
    return replace(new, earlier=PreparedEarlier(rows, record))


def _require_text(new: Prepared, old: Prepared) -> None:
    if new.labels is not None or old.labels is not None:
        raise ConfigError(
            "Forgetting is measured of models that write text, and rows are to be classified.",
            hint="Leave `earlier` out, or state the `format` of the datasets.",
        )


def _prepare_task(job: DataJob) -> Prepared:
    """Reads, writes, splits and encodes the datasets of `job.config.data`; see `prepare`."""
    config = job.config
    length = _length(job)
    pinned = _pin_of_each(config, job.pins)
    sources = _read(job, pinned, length)
    labels = _common_labels(sources)
    rows = AllRows(sources)
    parts = split(config, rows)
    remaining = without_repeats(config.screen, rows, parts.train, parts.measured)
    train, held_out = remaining.train, np.intersect1d(remaining.held_out, parts.held_out)
    validation = np.intersect1d(remaining.held_out, parts.validation)
    order = drawing_order(config, rows, train)
    limit = min(config.evaluate.max_items or len(held_out), len(held_out))
    measured = seeded(config.evaluate.seed).sample(range(len(held_out)), limit)
    mixed = config.rows.mix == "interleave"
    trained = [len(own) for own in rows.by_source(np.sort(order))] if mixed else [None] * len(sources)
    return Prepared(
        train=rows.examples(order),
        held_out=rows.examples(held_out[measured]),
        sources=[
            _source_record(entry, pin, place, source, count)
            for entry, pin, place, source, count in zip(config.data, pinned, job.places, sources, trained, strict=True)
        ],
        train_left_out=len(train) - len(np.unique(order)) if mixed else 0,
        held_out_left_out=len(held_out) - len(measured),
        max_length=length,
        split_method=split_method(config),
        labels=labels,
        mix=MixRecord(stop=config.rows.stop, seed=config.rows.seed, weights=[entry.weight for entry in config.data])
        if mixed
        else None,
        screen=screen_record(
            config.screen, [source.screen for source in sources], remaining.counts, len(parts.measured)
        ),
        planted=_planted(config, labels, job.tokenizer, length),
        validation=None if config.evaluate.validation is None else rows.examples(validation),
    )


def _length(job: DataJob) -> int:
    """Returns the most tokens of a row: `train.max_length`, or what the base model reads if that is less."""
    wanted = job.config.train.max_length
    length = min(wanted, job.context_length or wanted)
    if length < wanted:
        job.progress.warn(
            f"{job.pins.base.repo} reads at most {length} tokens: rows are cut there, before train.max_length"
        )
    return length


def _planted(config: TuneConfig, labels: LabelSet | None, tokenizer: "PreTrainedTokenizerBase", length: int) -> Planted:
    if labels is not None and config.evaluate.canaries:
        raise ConfigError(
            "evaluate.canaries plants texts, and the rows are to be classified.", hint="Set evaluate.canaries to 0."
        )
    return plant(config.evaluate.canaries, config.evaluate.seed, tokenizer, length)


def _read(job: DataJob, pins: Sequence[Pin | None], length: int) -> list[Source]:
    config, progress = job.config, job.progress
    settings = EncodingSettings(job.tokenizer, length, config.screen, config.evaluate.seed)
    sources = []
    for entry, pin, place in zip(config.data, pins, job.places, strict=True):
        with loading(f"{entry.label} cannot be read", DataError, hint=READABLE):
            source = read_source(
                PinnedData(entry, place, pin), settings, workers=config.rows.workers, progress=progress
            )
        chosen = source.format
        if chosen.inferred:
            columns = ", ".join(chosen.columns.values())
            progress.say(f"{entry.label}: no format is stated, and the columns ({columns}) look like {chosen.kind}")
        for warning in source.warnings:
            progress.warn(warning)
        source.screen.say(entry.label, progress)
        source.require_usable(config.rows.max_dropped)
        for line in source.tally.lines():
            progress.warn(f"{entry.label}: dropped {line}")
        sources.append(source)
    return sources


def _common_labels(sources: Sequence[Source]) -> LabelSet | None:
    """Returns the classes of all datasets.

    Raises:
        DataError: They have different classes, or only some of them are to be classified.
    """
    first = sources[0]
    for other in sources[1:]:
        if (other.labels is None) != (first.labels is None):
            raise DataError(
                f"{first.name} has rows of format {first.format.kind}, and {other.name} of {other.format.kind}: "
                "one model cannot learn to write and to classify.",
                hint="Use datasets of one kind, or state their `format`.",
            )
        if other.labels != first.labels:
            raise DataError(
                f"{first.name} and {other.name} have different labels.",
                details=[f"{source.name}: {', '.join(source.labels.names)}" for source in sources if source.labels],
                hint="State the same `labels` for each dataset, in the order of their ids.",
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
        sha256=source.files[place.name] if pin is None else None,
        files=None if pin is None else source.files,
        name=entry.name,
        split=entry.split,
        held_out_split=entry.held_out_split,
        group_by=entry.group_by,
        separator=source.separator,
        format=source.format.kind,
        inferred=source.format.inferred,
        template=source.format.template,
        columns=dict(source.format.columns),
        chat_template=None if source.chat_template is None else sha256_bytes(source.chat_template.encode()),
        loss_on=source.format.loss_on,
        rows=source.rows,
        kept=int(source.stays.sum()),
        dropped=source.tally.dropped(),
        first_dropped=source.tally.first_rows(),
        trained=trained,
        languages=[] if pin is None else languages_of(place),
        prompt=source.prompt,
        fingerprint=source.fingerprint,
        warnings=source.warnings,
    )


def _without_unnoted(found: DataRecord, recorded: DataRecord) -> DataRecord:
    """Returns a record without the files of those datasets of which an older version noted none."""

    def sources(own: list[SourceRecord], others: list[SourceRecord]) -> list[SourceRecord]:
        unnoted = [other.files is None for other in others] + [False] * len(own)
        return [
            source.model_copy(update={"files": None}) if old else source
            for source, old in zip(own, unnoted, strict=False)
        ]

    earlier = found.earlier
    if earlier is not None and recorded.earlier is not None:
        earlier = earlier.model_copy(update={"sources": sources(earlier.sources, recorded.earlier.sources)})
    return found.model_copy(update={"sources": sources(found.sources, recorded.sources), "earlier": earlier})


def _count(examples: Examples, left_out: int, labels: LabelSet | None) -> SplitRecord:
    classes = examples.label_counts(len(labels.names)) if labels else ()
    return SplitRecord(
        rows=len(examples),
        tokens=int(examples.lengths.sum()),
        learnt=None if labels else int(examples.learned.sum()),
        truncated=int(examples.truncated.sum()),
        left_out=left_out,
        classes={name: int(count) for name, count in zip(labels.names, classes, strict=True)} if labels else {},
    )
