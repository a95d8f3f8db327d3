"""What the repository of a dataset states about its data: configurations, their patterns and options, column types.

It is read from the same places as in `datasets`: the card's front matter, `.huggingface.yaml`, and the older
`dataset_infos.json`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import yaml

from hubtune.data.dataset_repo import Contents
from hubtune.documents import load_json, load_yaml
from hubtune.errors import DataError
from hubtune.metadata.front_matter import front_matter

if TYPE_CHECKING:
    from datasets import Features

Reader = Literal["json", "csv", "parquet", "arrow", "text"]
READERS: tuple[Reader, ...] = get_args(Reader)
"""What reads files: the packaged builders of `datasets` that open nothing but the files that they are given."""

_OPTIONS: dict[Reader, frozenset[str]] = {
    "json": frozenset({"field", "encoding"}),
    "csv": frozenset(
        {
            *("sep", "delimiter", "names", "column_names", "header", "quotechar", "quoting", "escapechar"),
            *("doublequote", "skipinitialspace", "encoding"),
        }
    ),
    "parquet": frozenset({"columns"}),
    "arrow": frozenset(),
    "text": frozenset({"sample_by", "keep_linebreaks", "encoding"}),
}
# What a card may say of a configuration beside them without changing a row.
_WITHOUT_EFFECT = frozenset(
    {"config_name", "data_files", "data_dir", "default", "features", "name", "version", "description"}
    | {"chunksize", "batch_size", "block_size", "use_threads", "drop_labels", "drop_metadata", "license"}
    # Cells of CSV are text, whatever they look like.
    | {"na_values", "keep_default_na", "na_filter", "true_values", "false_values", "thousands", "decimal"}
    | {"engine", "float_precision", "date_format", "memory_map", "low_memory", "verbose", "mangle_dupe_cols"}
)
SPLIT = re.compile(r"\w+(?:\.\w+)*", re.ASCII)


@dataclass(frozen=True)
class DatasetCard:
    """What a repository states about its data.

    Attributes:
        configurations: What is said of each configuration, by name; empty if there are none.
        infos: What is said of the rows of each, by name.
        legacy: The same from a dataset_infos.json, whose features have another form.
    """

    configurations: Mapping[str, Mapping[str, object]]
    infos: Mapping[str, Mapping[str, object]]
    legacy: Mapping[str, Mapping[str, object]]


def read_card(contents: Contents) -> DatasetCard:
    data = {**_front_matter(contents), **_mapping(contents, ".huggingface.yaml")}
    legacy = _mapping(contents, "dataset_infos.json")
    stated = data.get("configs") or []
    if not isinstance(stated, list) or not all(isinstance(item, dict) and "config_name" in item for item in stated):
        raise unreadable(contents.source, "README.md", "its `configs` is not a list of mappings with a `config_name`")
    info = data.get("dataset_info")
    infos = [item for item in (info if isinstance(info, list) else [info]) if isinstance(item, dict)]
    old = {str(name): about for name, about in legacy.items() if isinstance(about, dict)}
    return DatasetCard(
        configurations={str(item["config_name"]): item for item in stated},
        infos={str(item.get("config_name", "default")): item for item in infos},
        legacy={"default": next(iter(old.values()))} if len(old) == 1 else old,
    )


def _front_matter(contents: Contents) -> Mapping[str, object]:
    content = contents.read_if_there("README.md")
    try:
        return (content and front_matter(content.decode("utf-8-sig"))) or {}
    except UnicodeDecodeError as error:
        why = f"it is not UTF-8: the first byte that is not is byte {error.start + 1}"
        raise unreadable(contents.source, "README.md", why) from None
    except (yaml.YAMLError, ValueError) as error:
        raise unreadable(contents.source, "README.md", str(error)) from None


def _mapping(contents: Contents, name: str) -> Mapping[str, object]:
    content = contents.read_if_there(name)
    if content is None:
        return {}
    try:
        if name.endswith(".json"):
            value: object = load_json(content)
        else:
            loaded = load_yaml(content)
            value = loaded.value if loaded else {}
    except ValueError as error:
        raise unreadable(contents.source, name, str(error)) from None
    if not isinstance(value, dict):
        raise unreadable(contents.source, name, "it is not a mapping")
    return {str(key): item for key, item in value.items()}


def unreadable(source: str, name: str, why: str) -> DataError:
    return DataError(
        f"{name} of {source} cannot be read, and it says which files are its data: {why}",
        hint="Choose a revision of the dataset in which it is in order.",
    )


def choose(card: DatasetCard, name: str | None, source: str) -> str:
    known = list(card.configurations) or ["default"]
    if name is not None:
        if name in known:
            return name
        raise DataError(
            f"{source} has no configuration {name!r}; it has: {', '.join(known)}.",
            hint="Choose one of these with `data[].name`.",
        )
    default = [one for one in known if len(known) == 1 or one == "default" or _is_default(card, one)]
    if len(default) == 1:
        return default[0]
    raise DataError(
        f"{source} has {'several default' if default else 'several'} configurations: {', '.join(default or known)}.",
        hint="Choose one of these with `data[].name`.",
    )


def _is_default(card: DatasetCard, name: str) -> bool:
    return bool(card.configurations[name].get("default"))


def stated_patterns(said: Mapping[str, object], name: str, source: str) -> dict[str, list[str]] | None:
    """Returns the patterns of each split as the card states them; None if the file names decide the splits."""
    stated = said.get("data_files")
    if stated is None:
        return None
    items = [stated] if isinstance(stated, str) else stated
    if isinstance(items, list) and items and all(isinstance(item, str) for item in items):
        return {"train": items}
    found: dict[str, list[str]] = {}
    for item in items if isinstance(items, list) else [None]:
        split, path = (item.get("split"), item.get("path")) if isinstance(item, dict) and len(item) == 2 else (None, "")
        paths = [path] if isinstance(path, str) else path
        whole = isinstance(split, str) and SPLIT.fullmatch(split) and split not in found
        if not whole or not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise unreadable(source, "README.md", f"the `data_files` of {name!r} are not patterns, nor lists by split")
        found[str(split)] = paths
    return found


def stated_options(said: Mapping[str, object], reader: Reader, name: str, source: str) -> dict[str, object]:
    from datasets.load import import_main_class
    from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

    known = import_main_class(_PACKAGED_DATASETS_MODULES[reader][0]).BUILDER_CONFIG_CLASS
    found: dict[str, object] = {}
    for key, value in said.items():
        items = value if isinstance(value, list) else [value]
        plain = all(item is None or isinstance(item, str | int | float | bool) for item in items)
        if key in _OPTIONS[reader] and plain:
            found[key] = value
        elif key not in _WITHOUT_EFFECT and hasattr(known, key):
            raise DataError(
                f"The card of {source} asks to read the configuration {name!r} with {key}: {str(value)[:100]!r}, which "
                "hubtune does not do.",
                hint="Choose another configuration with `data[].name`, or another revision.",
            )
    return found


def features_of(card: DatasetCard, name: str, source: str) -> "Features | None":
    from datasets import Features

    said = card.configurations.get(name, {}).get("features")
    info = card.infos if said is None else {name: {"features": said}}
    about = _about(info, name)
    try:
        _check_classes(about.get("features"))
        if isinstance(about.get("features"), list):
            return Features._from_yaml_list(about["features"])
        old = _about(card.legacy, name).get("features") if not about else None
        return Features.from_dict(old) if isinstance(old, dict) else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise unreadable(source, "README.md", f"its types of columns cannot be understood ({error})") from None


def _check_classes(said: object) -> None:
    """Refuses numbers of classes that are not 0, 1, 2 …: `datasets` would make a name for each that is left out."""
    if isinstance(said, dict):
        names = said.get("names")
        if isinstance(names, dict) and {str(key) for key in names} != {str(place) for place in range(len(names))}:
            raise ValueError("its classes are not numbered 0, 1, 2 and so on")
    for inner in said.values() if isinstance(said, dict) else said if isinstance(said, list) else ():
        _check_classes(inner)


def _about(infos: Mapping[str, Mapping[str, object]], name: str) -> Mapping[str, object]:
    """Returns what is said of a configuration's rows; one that is alone is the default one's."""
    alone = next(iter(infos.values())) if len(infos) == 1 and name == "default" else {}
    return infos.get(name, alone)


def rows_of(card: DatasetCard, name: str) -> dict[str, int]:
    splits = (_about(card.infos, name) or _about(card.legacy, name)).get("splits")
    items = list(splits.values()) if isinstance(splits, dict) else splits if isinstance(splits, list) else []
    stated = [(item.get("name"), item.get("num_examples")) for item in items if isinstance(item, dict)]
    return {split: rows for split, rows in stated if isinstance(split, str) and isinstance(rows, int) and rows > 0}
