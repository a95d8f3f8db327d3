"""Chooses the files of a dataset: the configurations and splits of its card, resolved to files in its repository.

`datasets` follows any address in a card, on this machine or elsewhere. So the choice is made here, by the same rules
but only within the repository, and the readers of `datasets` get a list of files with nothing left to resolve.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.data import DataConfig
from hubtune.data import dataset_card
from hubtune.data.dataset_repo import MOST_SEARCHED, Contents, OutsideError, find, has_wildcards, within
from hubtune.errors import DataError
from hubtune.records.base import Pin

if TYPE_CHECKING:
    from datasets import Features

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar")
_FORMS = "JSON Lines, CSV, Parquet and Arrow"
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
# What reads a local file, by how its name ends.
_LOCAL: dict[str, dataset_card.Reader] = {
    **dict.fromkeys((".jsonl", ".json", ".ndjson"), "json"),
    **{".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".arrow": "arrow"},
}


@dataclass(frozen=True)
class PinnedData:
    """A dataset that a config names, at the commit that it is pinned to.

    Attributes:
        entry: Its part of the config.
        place: Its snapshot's folder, or the local file.
        pin: Its pin; None for a local file, or one that is not known.
    """

    entry: DataConfig
    place: Path
    pin: Pin | None = None

    @property
    def name(self) -> str:
        """What to call it."""
        return self.entry.label


@dataclass(frozen=True)
class DataFiles:
    """The files of one configuration of a dataset.

    Attributes:
        source: What to call the dataset.
        reader: What reads them.
        splits: The files of each split in order, as paths in the repository.
        contents: The repository, which knows where each file is read from.
        options: What the card says of how they are read: of CSV its `sep`, of JSON its `field`, and such.
        features: The types of the columns, if the card states them.
        rows: The rows of each split, if the card states them.
        separator: What separates the cells of CSV, if the config names it.
        encoding: Of files of text, if the config names it.
    """

    source: str
    reader: dataset_card.Reader
    splits: Mapping[str, Sequence[str]]
    contents: Contents
    options: Mapping[str, object] = field(default_factory=dict)
    features: "Features | None" = None
    rows: Mapping[str, int] = field(default_factory=dict)
    separator: str | None = None
    encoding: str | None = None

    def places(self, split: str) -> list[str]:
        """Returns the sources of the files of a split: paths on disk, or `hf://` addresses at the commit."""
        return [self.contents.place(name) for name in self.splits[split]]

    def digests(self, wanted_splits: Sequence[str]) -> dict[str, str]:
        """Returns the sha256 of every file of some splits or parts of splits, by its path in the repository."""
        splits = {part.strip().partition("[")[0] for split in wanted_splits for part in split.split("+")}
        wanted = sorted({name for split in splits for name in self.splits.get(split, ())})
        return dict(sorted(self.contents.digests(wanted).items()))


def configurations(contents: Contents) -> list[str]:
    """Returns the names of a dataset's configurations in the card's order.

    Raises:
        DataError: Its card cannot be read.
    """
    return list(dataset_card.read_card(contents).configurations) or ["default"]


def resolve_files(contents: Contents, name: str | None) -> DataFiles:
    """Chooses the files of a dataset's configuration as `datasets` does, within its repository.

    Args:
        contents: The repository.
        name: The configuration; None for the one that there is, or the default one.

    Raises:
        DataError: There is no such configuration; its card names files outside of the repository, none that exist, or
            some that are not read as rows.
    """
    card = dataset_card.read_card(contents)
    chosen = dataset_card.choose(card, name, contents.source)
    said = card.configurations.get(chosen, {})
    base = _inside(said.get("data_dir") or "", "", chosen, contents.source)
    patterns = dataset_card.stated_patterns(said, chosen, contents.source)
    splits = _of_patterns(patterns, base, chosen, contents) if patterns is not None else _by_names(contents, base)
    reader = _reader(splits, contents.source)
    if not card.configurations:
        splits = {split: _filtered(names, reader) for split, names in splits.items()}
    _refuse_archives(splits, contents.source)
    for found in (found for names in splits.values() for found in names if "::" in found):
        raise DataError(
            f"{found} of {contents.source} has a name that can be taken for an address.",
            hint="Choose a revision in which the file has another name.",
        )
    return DataFiles(
        source=contents.source,
        reader=reader,
        splits=splits,
        contents=contents,
        options=dataset_card.stated_options(said, reader, chosen, contents.source),
        features=dataset_card.features_of(card, chosen, contents.source),
        rows=dataset_card.rows_of(card, chosen),
    )


def local_files(path: Path, contents: Contents) -> DataFiles:
    """Returns the one file of a local dataset, whose split is `train`.

    Raises:
        DataError: There is no such file, or it is not one that can be read as rows.
    """
    if path.exists() and not path.is_file():
        raise DataError(
            f"{path} is a folder or a device, and not a file.", hint="Name the file in it as `data[].path`."
        )
    if not path.is_file():
        raise DataError(f"There is no file {path}.", hint="Correct `data[].path`; it starts at the config's folder.")
    name = path.name.lower()
    suffix = Path(name.removesuffix(next((end for end in _COMPRESSED if name.endswith(end)), ""))).suffix
    reader = _LOCAL.get(suffix)
    if reader in ("parquet", "arrow") and suffix != path.suffix.lower():
        reader = None
    if reader is None:
        raise DataError(
            f"{path.name} cannot be read as rows: its name ends with {path.suffix!r}.",
            hint=f"Use a file whose name ends with {', '.join(_LOCAL)}; archives and scripts are not opened.",
        )
    return DataFiles(contents.source, reader, {"train": [path.name]}, contents)


def _inside(pattern: object, base: str, name: str, source: str) -> str:
    try:
        if not isinstance(pattern, str):
            raise OutsideError("is not a text")
        return within(pattern, base)
    except OutsideError as error:
        raise DataError(
            f"The card of {source} names something that is not a file of it: {str(pattern)[:300]!r}, of the "
            f"configuration {name!r}, {error}.",
            hint="Only files of the pinned repository are read. Use another revision, or get the file yourself, look "
            "at it, and name it as `data[].path`.",
        ) from None


def _of_patterns(stated: Mapping[str, Sequence[str]], base: str, name: str, contents: Contents) -> dict[str, list[str]]:
    resolved = {
        split: [_inside(pattern, base, name, contents.source) for pattern in patterns]
        for split, patterns in stated.items()
    }
    if sum(has_wildcards(pattern) for patterns in resolved.values() for pattern in patterns) > MOST_SEARCHED:
        raise dataset_card.unreadable(
            contents.source, "README.md", f"{name!r} has more than {MOST_SEARCHED:,} patterns"
        )
    return {
        split: [found for pattern in patterns for found in _found(pattern, contents)]
        for split, patterns in resolved.items()
    }


def _found(pattern: str, contents: Contents) -> list[str]:
    from datasets.packaged_modules import _ALL_ALLOWED_EXTENSIONS

    found = [name for name in _find(contents, pattern) if any(end in _ALL_ALLOWED_EXTENSIONS for end in _ends(name))]
    if not found and not has_wildcards(pattern):
        raise DataError(
            f"{contents.source} has no file {pattern!r}, which its card names as data.",
            hint="Choose a revision of the dataset that has it, or another configuration with `data[].name`.",
        )
    return found


def _find(contents: Contents, pattern: str) -> list[str]:
    from datasets.data_files import FILES_TO_IGNORE

    return find(pattern, contents.names, frozenset(FILES_TO_IGNORE))


def _ends(name: str) -> list[str]:
    return [f".{end}" for end in name.rpartition("/")[2].split(".")[1:]]


def _by_names(contents: Contents, base: str) -> dict[str, list[str]]:
    """Returns the splits that the names of files and folders tell, by the first rule of `datasets` that finds any."""
    splits = _by_shards(contents, base) or _by_words(contents, base)
    if not any(splits.values()):
        _refuse_closed(contents)
        raise DataError(
            f"{contents.source} has no data{f' in {base}' if base else ''} that can be read as rows.",
            hint=f"Choose a revision with {_FORMS} files.",
        )
    return splits


def _by_shards(contents: Contents, base: str) -> dict[str, list[str]]:
    from datasets.data_files import SPLIT_PATTERN_SHARDED

    before, after = SPLIT_PATTERN_SHARDED.split("{split}")
    shards = _find(contents, within(f"{before}*{after}", base))
    found = {name.rpartition("/")[2].rsplit("-of-", 1)[0].rsplit("-", 1)[0] for name in shards}
    for split in found:
        if not dataset_card.SPLIT.fullmatch(split):
            raise DataError(
                f"{contents.source} has a split {split!r}, and a split's name is of letters, digits and `_`.",
                hint="Choose another revision of the dataset.",
            )
    return {split: _found(within(f"{before}{split}{after}", base), contents) for split in _in_order(found)}


def _by_words(contents: Contents, base: str) -> dict[str, list[str]]:
    from datasets.data_files import ALL_DEFAULT_PATTERNS

    for patterns in ALL_DEFAULT_PATTERNS:
        found = {str(split): [within(pattern, base) for pattern in those] for split, those in patterns.items()}
        splits = {split: those for split, those in found.items() if any(_find(contents, pattern) for pattern in those)}
        if splits:
            return {split: [name for one in those for name in _found(one, contents)] for split, those in splits.items()}
    return {}


def _in_order(splits: set[str]) -> Iterator[str]:
    usual = ("train", "validation", "test")
    yield from (split for split in usual if split in splits)
    yield from sorted(splits - set(usual))


def _reader(splits: Mapping[str, Sequence[str]], source: str) -> dataset_card.Reader:
    """Returns what reads the files, by how most of their names end."""
    from datasets.load import infer_module_for_data_files

    open_files = {split: [name for name in names if not _is_archive(name)] for split, names in splits.items()}
    if not any(open_files.values()):
        _refuse_archives(splits, source)
    try:
        reader, _ = infer_module_for_data_files({split: names for split, names in open_files.items() if names})
    except (ValueError, FileNotFoundError, StopIteration):
        raise DataError(
            f"The files of {source} cannot be read as a dataset: they are not all of one kind that holds rows.",
            hint=f"Choose a revision with {_FORMS} files, all of one kind.",
        ) from None
    for known in dataset_card.READERS:
        if reader == known:
            return known
    raise DataError(
        f"The files of {source} cannot be read as a dataset: they are of the kind {reader!r}.",
        hint=f"{_FORMS} can; make one of them of the rows, and use it as `data[].path`.",
    )


def _filtered(names: Sequence[str], reader: dataset_card.Reader) -> list[str]:
    from datasets.packaged_modules import _MODULE_TO_EXTENSIONS

    known = [re.escape(end) for end in _MODULE_TO_EXTENSIONS[reader]]
    wanted = re.compile(rf".*({'|'.join(known)})(\..+)?", re.DOTALL)
    return [name for name in names if wanted.fullmatch(name)]


def _is_archive(name: str) -> bool:
    return name.lower().endswith(ARCHIVES)


def _refuse_archives(splits: Mapping[str, Sequence[str]], source: str) -> None:
    for name in (name for names in splits.values() for name in names if _is_archive(name)):
        raise DataError(
            f"{name} of {source} is an archive, which is not opened.",
            hint=f"Unpack it, and use the {_FORMS} files in it.",
        )


def _refuse_closed(contents: Contents) -> None:
    """Refuses a repository whose data is in an archive or would come out of a script: neither is opened."""
    for name in contents.names:
        if name.endswith(".py") or _is_archive(name):
            script = name.endswith(".py")
            what = "a loading script, which is never run" if script else "an archive, which is not opened"
            raise DataError(
                f"{contents.source} has no data but {name}: {what}.",
                hint=f"Choose a revision with {_FORMS} files, or make one of what is in it.",
            )
