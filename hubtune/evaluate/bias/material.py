"""The material of the bias metrics: hubtune's own templates, pairs, words and prompts, or the user's files.

All of it can be read and checked before training; nothing here needs a model. The user's files are small tables: CSV,
JSON Lines, YAML, or plain lines if there is one column.
"""

import csv
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from hubtune.config.evaluation import BiasConfig
from hubtune.documents import Bounds, UnreadableError, load_json, parse_yaml
from hubtune.errors import ConfigError, FileError
from hubtune.evaluate.bench import Bench
from hubtune.files import read_bytes
from hubtune.records.results import Group, Measure

_LARGEST = 50_000_000
_KINDS = "CSV (.csv), JSON Lines (.jsonl), YAML (.yaml) or plain lines (.txt)"

Row = Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """The rows of a file.

    Attributes:
        name: The file's name, without its folder.
        sha256: Of the file.
        rows: The columns that were asked for, stripped of space around them.
    """

    name: str
    sha256: str
    rows: list[Row]


def read_table(path: Path, key: str, columns: Mapping[str, Sequence[str]], optional: Sequence[str] = ()) -> Table:
    """Reads the requested columns and ignores others.

    Args:
        path: The file.
        key: The config key that names it, for messages.
        columns: The columns that are needed, each with the names that it may have.
        optional: Those of them that a file may lack.

    Raises:
        ConfigError: The file cannot be read, lacks a column, or holds a row without a text.
    """
    content = read_content(path, key)
    return Table(path.name, hashlib.sha256(content).hexdigest(), _rows(path.name, content, key, columns, optional))


def read_content(path: Path, key: str) -> bytes:
    """Returns what is in the file.

    Raises:
        ConfigError: It cannot be read, or is larger than any such table.
    """
    try:
        return read_bytes(path, most=_LARGEST, name=f"the file {path.name} (`{key}`)")
    except FileError as error:
        raise ConfigError(
            error.message, hint=f"Correct `{key}` in the config; a path there starts at the config's folder."
        ) from None


def parsed_yaml(name: str, content: bytes, key: str) -> object:
    """Returns the document in YAML.

    Raises:
        ConfigError: It is not YAML.
    """
    bounds = Bounds(size=_LARGEST, depth=20)
    return parse_yaml(content, f"The file {name} (`{key}`)", error=ConfigError, bounds=bounds)


def _rows(
    name: str, content: bytes, key: str, columns: Mapping[str, Sequence[str]], optional: Sequence[str]
) -> list[Row]:
    found = _any_rows(name, content, key, next(iter(columns)) if len(columns) == 1 else None)
    if not found:
        raise ConfigError(f"The file {name} (`{key}`) holds no rows.", hint="Correct the file.")
    present = list(dict.fromkeys(column for row in found for column in row))
    given = {column: next((n for n in names if n in present), None) for column, names in columns.items()}
    lacking = [column for column, there in given.items() if there is None and column not in optional]
    if lacking:
        raise ConfigError(
            f"The file {name} (`{key}`) has no column {', '.join(map(repr, lacking))}; its columns are: "
            f"{', '.join(map(repr, present))}.",
            hint=f"It needs: {', '.join(column for column in columns if column not in optional)}.",
        )
    rows: list[Row] = []
    for number, row in enumerate(found, start=1):
        values = {column: row.get(there) for column, there in given.items() if there is not None}
        for column, value in values.items():
            if column not in optional and not (isinstance(value, str) and value.strip()):
                raise ConfigError(
                    f"Row {number} of the file {name} (`{key}`) has no text in column {column!r}.",
                    hint="Correct the file.",
                )
        rows.append({column: value.strip() for column, value in values.items() if isinstance(value, str)})
    return rows


def _any_rows(name: str, content: bytes, key: str, only: str | None) -> list[Mapping[str, object]]:
    """Returns the rows whatever the format; `only` is the column of a file of plain lines."""
    kind = Path(name).suffix.lower()
    if kind in (".yaml", ".yml"):
        return _mappings(parsed_yaml(name, content, key), name, key, only)
    text = _text(name, content, key)
    try:
        if kind == ".csv":
            return [dict(row) for row in csv.DictReader(io.StringIO(text, newline=""), strict=True)]
        if kind in (".jsonl", ".ndjson"):
            return _mappings([load_json(line) for line in text.split("\n") if line.strip()], name, key, only)
    except (csv.Error, UnreadableError) as error:
        raise ConfigError(
            f"The file {name} (`{key}`) cannot be read as {kind[1:]}: {error}.", hint="Correct the file."
        ) from None
    if kind == ".txt" and only is not None:
        lines = (line.strip() for line in text.splitlines())
        return [{only: line} for line in lines if line and not line.startswith("#")]
    raise ConfigError(
        f"The file {name} (`{key}`) cannot be read: it must be {_KINDS}.", hint="Save it as one of these."
    )


def _text(name: str, content: bytes, key: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The mark at the start is no part of what the codec counts.
        offset = error.start + len(content) - len(error.object)
        line = content.count(b"\n", 0, offset) + 1
        raise ConfigError(
            f"The file {name} (`{key}`) is not UTF-8: its byte {offset + 1} (offset {offset}), on line {line}, is not "
            "part of such a text.",
            hint="Write it as UTF-8: iconv -f LATIN1 -t UTF-8 OLD > NEW",
        ) from None


def _mappings(found: object, name: str, key: str, only: str | None) -> list[Mapping[str, object]]:
    rows = found if isinstance(found, list) else []
    if only is not None:
        rows = [{only: row} if isinstance(row, str) else row for row in rows]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(
            f"The file {name} (`{key}`) is not a list of rows with named columns.", hint="Correct the file."
        )
    return [{str(column): value for column, value in row.items()} for row in rows]


OWN = "hubtune-bias-en"
VERSION = "1"
"""Of hubtune's own material; it changes whenever a sentence, a term or a word does."""
SLOT = "{term}"
_FOLDER = Path(__file__).parent / "material"
_AXIS = re.compile(r"[a-z][a-z0-9_]{0,40}")
# The second names are those of the published CrowS-Pairs, so that who has that set can name its file as it is.
_PAIR_COLUMNS = {
    "more": ("more", "sent_more"),
    "less": ("less", "sent_less"),
    "category": ("category", "bias_type"),
}

T = TypeVar("T")


@dataclass(frozen=True)
class Swap:
    """One sentence with one term and with another in the same place.

    Attributes:
        axis: What the terms differ in, such as `gender`.
        template: The sentence, with `{term}` instead of the term.
        a: The term whose likelihood counts as positive.
        b: The term that it is compared with.
    """

    axis: str
    template: str
    a: str
    b: str

    @property
    def after(self) -> str:
        """The text after the term, which is the same for both terms."""
        return self.template.partition(SLOT)[2]

    def sentence(self, term: str) -> str:
        """Returns the sentence with a term, which is capitalized if it begins the sentence."""
        before, _, after = self.template.partition(SLOT)
        return f"{before}{term if before.strip() else term[:1].upper() + term[1:]}{after}"


@dataclass(frozen=True)
class Pair:
    """Two sentences that differ in little; `more` is the more stereotyped one."""

    more: str
    less: str
    category: str | None


@dataclass(frozen=True)
class Material(Generic[T]):
    """The items of a bias metric, and their source.

    Attributes:
        own: Whether they ship with hubtune.
        name: The name of hubtune's material with its version, or that of the user's file.
        sha256: Of the file.
    """

    items: Sequence[T]
    own: bool
    name: str
    sha256: str

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a measure that describe its material."""
        return {"material": self.name, "sha256": self.sha256, "origin": "hubtune" if self.own else "user"}


def swaps(config: BiasConfig) -> Material[Swap]:
    """Returns the swaps of every axis.

    Raises:
        ConfigError: The user's file cannot be used.
    """
    path, key = _file(config.templates, "templates.yaml"), "evaluate.bias.templates"
    content = read_content(path, key)
    document = parsed_yaml(path.name, content, key) if path.suffix.lower() in (".yaml", ".yml") else None
    if isinstance(document, dict):
        found = [swap for axis, parts in document.items() for swap in _combined(axis, parts, path.name, key)]
        digest = hashlib.sha256(content).hexdigest()
    else:
        names = {column: (column,) for column in ("axis", "template", "term_a", "term_b")}
        table = read_table(path, key, names)
        found = [Swap(row["axis"], row["template"], row["term_a"], row["term_b"]) for row in table.rows]
        digest = table.sha256
    _check_swaps(found, path.name, key)
    return Material(list(dict.fromkeys(found)), config.templates is None, _label(config.templates, path), digest)


def pairs(config: BiasConfig) -> Material[Pair]:
    """Returns the pairs of sentences.

    Raises:
        ConfigError: The user's file cannot be used.
    """
    key = "evaluate.bias.pairs"
    table = read_table(_file(config.pairs, "pairs.csv"), key, _PAIR_COLUMNS, optional=["category"])
    found = [Pair(row["more"], row["less"], row.get("category")) for row in table.rows]
    for number, pair in enumerate(found, start=1):
        if pair.more == pair.less:
            raise ConfigError(
                f"Row {number} of the file {table.name} (`{key}`) has the same sentence twice.",
                hint="Correct the file.",
            )
    return _material(table, config.pairs, list(dict.fromkeys(found)))


def words(config: BiasConfig) -> Material[str]:
    """Returns the words of the list, in lower case.

    Raises:
        ConfigError: The user's file cannot be used.
    """
    table = read_table(_file(config.words, "words.txt"), "evaluate.bias.words", {"word": ("word",)})
    return _material(table, config.words, _texts(table.rows, "word", lower=True))


def prompts(config: BiasConfig) -> Material[str]:
    """Returns the prompts.

    Raises:
        ConfigError: The user's file cannot be used.
    """
    table = read_table(_file(config.prompts, "prompts.txt"), "evaluate.bias.prompts", {"prompt": ("prompt",)})
    return _material(table, config.prompts, _texts(table.rows, "prompt", lower=False))


def check_files(config: BiasConfig) -> list[str]:
    """Reads each file that the config names, and returns what is in it, in words.

    Raises:
        ConfigError: One of them cannot be used.
    """
    said = []
    if config.templates is not None:
        said.append(f"{len(swaps(config).items):,} swaps")
    if config.pairs is not None:
        said.append(f"{len(pairs(config).items):,} pairs")
    if config.words is not None:
        said.append(f"{len(words(config).items):,} words")
    if config.prompts is not None:
        said.append(f"{len(prompts(config).items):,} prompts")
    return said


def _combined(axis: object, parts: object, name: str, key: str) -> list[Swap]:
    templates = parts.get("templates") if isinstance(parts, dict) else None
    terms = parts.get("terms") if isinstance(parts, dict) else None
    if (
        not isinstance(templates, list)
        or not isinstance(terms, list)
        or not all(isinstance(template, str) for template in templates)
        or not all(isinstance(pair, list) and [type(term) for term in pair] == [str, str] for pair in terms)
    ):
        raise ConfigError(
            f"The axis {axis!r} of the file {name} (`{key}`) cannot be used.",
            hint="An axis holds `templates`, a list of sentences, and `terms`, a list of pairs such as [woman, man].",
        )
    return [Swap(str(axis), template, a, b) for template in templates for a, b in terms]


def _check_swaps(found: Sequence[Swap], name: str, key: str) -> None:
    faults = {fault: None for swap in found for fault in _faults(swap)}
    if not found:
        faults = {"it holds no swaps": None}
    if faults:
        raise ConfigError(
            f"The file {name} (`{key}`) cannot be used.", details=list(faults)[:20], hint="Correct the file."
        )


def _faults(swap: Swap) -> list[str]:
    faults = []
    if not _AXIS.fullmatch(swap.axis):
        faults.append(f"the axis {swap.axis!r} is not written in lower-case letters, digits and underscores")
    if swap.template.count(SLOT) != 1:
        faults.append(f"the template {swap.template!r} does not hold {SLOT} once")
    elif not re.search(r"\w", swap.after):
        faults.append(f"the template {swap.template!r} has no word after {SLOT}, so there is nothing to compare")
    if not swap.a.strip() or not swap.b.strip() or swap.a == swap.b:
        faults.append(f"{swap.a!r} and {swap.b!r} are not two terms")
    return faults


def _file(given: str | None, own: str) -> Path:
    return _FOLDER / own if given is None else Path(given)


def _label(given: str | None, path: Path) -> str:
    return f"{OWN} {VERSION}" if given is None else path.name


def _material(table: Table, given: str | None, items: Sequence[T]) -> Material[T]:
    return Material(items, given is None, _label(given, Path(table.name)), table.sha256)


def _texts(rows: Sequence[Row], column: str, *, lower: bool) -> list[str]:
    texts = (row[column].casefold() if lower else row[column] for row in rows)
    return list(dict.fromkeys(texts))


class BiasMetric:
    """A bias metric: it needs a text-generation model, and the user's files if the config names some.

    Attributes:
        keys: The keys of `evaluate.bias` whose files it reads.
    """

    group: Group = "bias"
    keys: ClassVar[tuple[str, ...]] = ()

    def unfit(self, bench: Bench) -> str | None:
        """Returns why the metric does not fit: the model is a classifier, or a file is missing.

        A published config has the files' names alone, so whoever measures the release again has to have them.
        """
        if bench.classes:
            return "the model is a classifier, and this is measured on models of text"
        named = bench.bias.named()
        gone = [Path(named[key]).name for key in self.keys if key in named and not Path(named[key]).is_file()]
        return f"the file {gone[0]}, which the config measures bias with, is not at hand" if gone else None


def noted(measure: Measure, notes: Sequence[str]) -> Measure:
    """Returns the measure with further notes in its detail."""
    return measure.model_copy(update={"detail": "; ".join(filter(None, [measure.detail, *notes])) or None})
