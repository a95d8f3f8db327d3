"""Loads a config: YAML, then `key=value` overrides, then validation, which reports all mistakes at once.

Command-line options that name a release override the config's `publish` section. The config of a published release is
loaded here too. It is untrusted, so it must not name a path on this machine.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import yaml
from pydantic import ValidationError

from hubtune.config import yaml_file
from hubtune.config.data import DataConfig
from hubtune.config.evaluation import BiasConfig, known_metrics, unknown_metric
from hubtune.config.reference import config_keys
from hubtune.config.schema import TuneConfig
from hubtune.documents import HAND_WRITTEN
from hubtune.errors import ConfigError, FileError, ReleaseError
from hubtune.files import read_text
from hubtune.validation import faults_of

DEFAULT_CONFIG = Path("hubtune.yaml")
_SEGMENT = re.compile(r"^(?P<key>[^\[\]]+)(?P<indexes>(?:\[\d+\])*)$")


def load_config(path: Path, overrides: Sequence[str] = (), *, started: bool = False) -> TuneConfig:
    """Loads and validates the config at `path`.

    Args:
        path: A YAML file.
        overrides: `key=value` texts such as `train.epochs=3` or `data[0].split=test`; they win over the file.
        started: Whether it is that of a run which is under way: its card can be written if the metrics that it
            was measured by are not installed.

    Raises:
        ConfigError: The file is missing or not readable, or there are faults; the details name every one.
    """
    if not path.exists() and not path.is_symlink():
        raise ConfigError(
            f"There is no config file {path}.",
            hint="Write one with `hubtune init DATASET BASE`, or give the path of yours after the command.",
        )
    try:
        text = read_text(path, most=HAND_WRITTEN.size)
    except FileError as error:
        raise ConfigError(f"The config file cannot be used: {error.message}", hint=error.hint) from error
    return parse_config(text, overrides, source=str(path), folder=path.parent, started=started)


def parse_config(
    text: str,
    overrides: Sequence[str] = (),
    *,
    source: str = "config",
    folder: Path = Path(),
    started: bool = False,
) -> TuneConfig:
    """Validates a config given as YAML text; see `load_config`. Files that it names are looked for from `folder`."""
    mapping, problems = yaml_file.parse(text)
    problems += _apply_overrides(mapping, overrides)
    problems += yaml_file.read_statement_files(mapping, folder) + yaml_file.read_chat_template_files(mapping, folder)
    _locate(mapping, folder)
    problems += [] if started else _unknown_metrics(mapping)
    config: TuneConfig | None = None
    if mapping or not problems:
        try:
            config = TuneConfig.model_validate(mapping)
        except ValidationError as error:
            problems += _explain(error)
    if problems or config is None:
        count = "1 thing" if len(problems) == 1 else f"{len(problems)} things"
        raise ConfigError(
            f"{source} cannot be used: {count} to correct.",
            details=[str(problem) for problem in problems],
            hint=f"Correct {'it' if len(problems) == 1 else 'each'} in {source}"
            f"{' or in the options of the command' if overrides and 'options' not in source else ''}, then run the "
            "command again.",
        )
    return config


def dump_config(config: TuneConfig) -> str:
    """Returns the config with every default written out, as YAML that `parse_config` reads back to the same."""
    return yaml.safe_dump(config.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True)


def read_dumped(text: str, source: str) -> TuneConfig:
    """Reads what `dump_config` wrote, wherever it comes from: no file that it names is opened.

    Raises:
        ConfigError: It is not such a config.
    """
    mapping, problems = yaml_file.parse(text)
    try:
        config = TuneConfig.model_validate(mapping) if not problems else None
    except ValidationError as error:
        problems, config = _explain(error), None
    if config is None:
        raise ConfigError(
            f"{source} is not a config that this version of hubtune can read.",
            details=[str(problem) for problem in problems],
            hint="It was changed by hand, or written by another version of hubtune.",
        )
    return config


def without_folders(config: TuneConfig) -> TuneConfig:
    """Returns the config without what belongs to one machine.

    That is where its files lie on a disk, of which the name is left, and in how many processes rows are read.
    """
    earlier = config.earlier and config.earlier.model_copy(update={"data": _named(config.earlier.data)})
    templates = config.card.templates
    card = config.card if templates is None else config.card.model_copy(update={"templates": _name(templates)})
    bias = config.evaluate.bias
    bias = bias.model_copy(update={key: _name(path) for key, path in bias.named().items()})
    evaluate = config.evaluate.model_copy(update={"bias": bias})
    rows = config.rows.model_copy(update={"workers": "auto"})
    deepspeed = config.train.deepspeed
    train = config.train if deepspeed is None else config.train.model_copy(update={"deepspeed": _name(deepspeed)})
    changed = {"data": _named(config.data), "earlier": earlier, "card": card, "rows": rows, "evaluate": evaluate}
    return config.model_copy(update={**changed, "train": train})


def _named(data: Sequence[DataConfig]) -> list[DataConfig]:
    return [entry if entry.path is None else entry.model_copy(update={"path": _name(entry.path)}) for entry in data]


def _name(path: str) -> str:
    return PurePosixPath(path.replace("\\", "/")).name


def training_digest(config: TuneConfig) -> str:
    """Returns the sha256 of what decides the training: the inputs, how to train, and which rows are held out.

    The card and the release are left out, so that a text on the card can be mended without training again; so is how
    the held-out rows are measured.
    """
    # Runs of versions that did not know a key are the same runs if it is not used.
    earlier = set() if config.earlier is None else {"earlier"}
    included = {"base", "data", "rows", "train"} | earlier
    values = without_folders(config).model_dump(mode="json", include=included)
    for entry in [*values["data"], *(values["earlier"]["data"] if earlier else [])]:
        # Licenses are the card's matter.
        del entry["license"]
        for key in ("separator", "encoding"):
            if entry[key] is None:
                del entry[key]
    del values["rows"]["workers"]
    for key in ("adapter", "allow_remote_code"):
        if values["base"][key] is None:
            del values["base"][key]
    if values["train"]["steps"] is None:
        del values["train"]["steps"]
    # Who is told of the training, where it costs energy and where its memory lies change nothing of it.
    for key in ("report_to", "project", "country", "fsdp", "deepspeed"):
        del values["train"][key]
    if not values["train"]["added_tokens"]:
        del values["train"]["added_tokens"]
    held_out = config.evaluate.model_dump(include={"holdout", "seed", "max_items"})
    if config.evaluate.validation is not None:
        held_out["validation"] = config.evaluate.validation
    planted = {"canaries": config.evaluate.canaries} if config.evaluate.canaries else {}
    return _digest({**values, "held_out": held_out, **planted})


def evaluation_digest(config: TuneConfig) -> str:
    """Returns the sha256 of how the models are measured."""
    values = without_folders(config).evaluate.model_dump(mode="json")
    if values["validation"] is None:
        del values["validation"]
    return _digest(values)


def _digest(values: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _locate(mapping: yaml_file.YamlMapping, folder: Path) -> None:
    """Makes the paths of the config absolute: the run's own copy of it lies somewhere else."""
    card, evaluate = mapping.get("card"), mapping.get("evaluate")
    bias = evaluate.get("bias") if isinstance(evaluate, dict) else None
    places = [
        (card, "templates"),
        (mapping.get("train"), "deepspeed"),
        *((entry, "path") for _, entry in yaml_file.data_entries(mapping)),
        *((bias, key) for key in BiasConfig.model_fields),
    ]
    for section, key in places:
        if isinstance(section, dict) and isinstance(section.get(key), str) and section[key]:
            section[key] = str((folder / str(section[key])).absolute())


def _unknown_metrics(mapping: yaml_file.YamlMapping) -> list[yaml_file.Problem]:
    section = mapping.get("evaluate")
    asked = section.get("metrics") if isinstance(section, dict) else None
    if not isinstance(asked, list):
        return []
    known = known_metrics()
    named = ((number, unknown_metric(name, known)) for number, name in enumerate(asked) if isinstance(name, str))
    return [yaml_file.Problem(f"evaluate.metrics[{number}]", fault) for number, fault in named if fault is not None]


def _apply_overrides(mapping: yaml_file.YamlMapping, overrides: Iterable[str]) -> list[yaml_file.Problem]:
    problems: list[yaml_file.Problem] = []
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            problems.append(
                yaml_file.Problem("", f"the override {override!r} is not key=value, such as train.epochs=3")
            )
        elif not _set(mapping, key.strip(), yaml_file.parse_scalar(value)):
            problems.append(
                yaml_file.Problem(
                    key, "the override names a place that this config does not have; a list counts from [0]"
                )
            )
    return problems


def _set(mapping: yaml_file.YamlMapping, dotted: str, value: yaml_file.Value) -> bool:
    """Sets `a.b[0].c`; missing mappings are made, missing list items are not. Returns whether the place exists."""
    steps: list[str | int] = []
    for segment in dotted.split("."):
        match = _SEGMENT.match(segment)
        if match is None:
            return False
        steps.append(match["key"])
        steps.extend(int(index) for index in re.findall(r"\d+", match["indexes"]))
    place: yaml_file.Value = mapping
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        if isinstance(place, dict) and isinstance(step, str):
            if following is None:
                place[step] = value
                return True
            if place.get(step) is None:
                place[step] = {}
            place = place[step]
        elif isinstance(place, list) and isinstance(step, int) and step < len(place):
            if following is None:
                place[step] = value
                return True
            place = place[step]
        else:
            return False
    return False


def _explain(error: ValidationError) -> list[yaml_file.Problem]:
    problems: list[yaml_file.Problem] = []
    for fault in faults_of(error, values=True):
        text = fault.text
        if fault.kind == "extra_forbidden":
            text = _unknown_key(re.sub(r"\[\d+\]", "", fault.path))
        problems.append(yaml_file.Problem(fault.path, text))
    return problems


def require_key(dotted: str, source: str) -> None:
    """Refuses a key path, such as `train.lora.r` or `data[0].template`, that no config has.

    Args:
        dotted: The key path.
        source: What names it, for the message.

    Raises:
        ConfigError: There is no such key.
    """
    plain = re.sub(r"\[\d+\]", "[]", dotted)
    # An earlier task's data sets have the keys of the others.
    known = plain in config_keys() or plain.removeprefix("earlier.") in config_keys()
    if not known:
        raise ConfigError(
            f"{source} names {dotted}, which is not a field of the config: {_unknown_key(plain.replace('[]', ''))}.",
            hint="Name a field as its key path, such as train.learning_rate or data[0].template; all of them: "
            "hubtune config reference",
        )


def _unknown_key(dotted: str) -> str:
    section, _, key = dotted.rpartition(".")
    # An earlier task's datasets have the keys of the others.
    place = section.removeprefix("earlier.") if section.startswith("earlier.data") else section
    paths = [path.replace("[]", "") for path in config_keys()]
    known = [name for above, _, name in (path.rpartition(".") for path in paths) if above == place]
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if not close:
        close = [path for path in paths if path.endswith(f".{key}")][:1]
    if close:
        return f"there is no such key; did you mean `{close[0]}`?"
    return f"there is no such key; the keys here are: {', '.join(sorted(known))}"


def read_published(text: str, source: str) -> TuneConfig:
    """Reads the config of a release; no file that it names is opened.

    Args:
        text: What the release holds.
        source: What to call it, such as "records/config.yaml of org/model".

    Raises:
        ConfigError: It is not a config that `dump_config` wrote.
        ReleaseError: It names a place on a disk, in a key where a release has the name of a file alone.
    """
    config = read_dumped(text, source)
    for key, named in local_files(config).items():
        if not _is_bare(named):
            raise ReleaseError(
                f"{source} names a place on a disk: {key} is {named[:200]!r}. No such place is opened.",
                hint="A release of hubtune holds the bare names of files, so this was changed by hand: do not rely "
                "on it.",
            )
    return config


def local_files(config: TuneConfig) -> Mapping[str, str]:
    """Returns every local file or folder that a config names, by its key path."""
    return dict(_local_files(config))


def require_none_of_release(
    config: TuneConfig, source: str, *, given: Sequence[str] = (), own_data: bool = True
) -> None:
    """Refuses to go on if a file would be opened because a release names it.

    Args:
        config: The release's config, as `read_published` returned it.
        source: What to call the release.
        given: `key=value` texts of anyone who uses the release: what they set is theirs.
        own_data: Whether the release's own data is used.

    Raises:
        ReleaseError: A file is named; the message has the key and the hint what to do.
    """
    keys = [text.partition("=")[0].strip() for text in given]
    for key, named in local_files(config).items():
        used = key not in ("card.templates", "train.deepspeed") and (
            own_data or not key.startswith(("data", "earlier"))
        )
        if not used or any(key == own or key.startswith((f"{own}.", f"{own}[")) for own in keys):
            continue
        of_data = key.endswith(".path")
        raise ReleaseError(
            f"{source} names a local file, {key}: {named!r}, and no file of this machine is opened because a release "
            "names it.",
            hint=f"Give one of your own: {'--data FILE, or ' if of_data else ''}-s {key}=FILE",
        )


def _local_files(config: TuneConfig) -> Iterator[tuple[str, str]]:
    for section, entries in (("data", config.data), ("earlier.data", config.earlier_data)):
        for number, entry in enumerate(entries):
            if entry.path is not None:
                yield f"{section}[{number}].path", entry.path
    if config.card.templates is not None:
        yield "card.templates", config.card.templates
    if config.train.deepspeed is not None:
        yield "train.deepspeed", config.train.deepspeed
    for key, path in config.evaluate.bias.named().items():
        yield f"evaluate.bias.{key}", path


def _is_bare(name: str) -> bool:
    # Signs that hubtune itself can leave in the name of a file are not a fault.
    return name not in (".", "..") and not any(sign in name for sign in "/\\\0\n")


@dataclass(frozen=True)
class TargetOptions:
    """The options of the commands that publish; None if the config decides.

    Attributes:
        private: Whether to create the repository as a private one; False leaves it to the config.
        propose: Whether to open a pull request instead of pushing.
        counterpart: Whether the other kind of artifact is meant, for the repository that `publish.counterpart` names.
    """

    repo: str | None = None
    tag: str | None = None
    branch: str | None = None
    message: str | None = None
    private: bool = False
    propose: bool = False
    counterpart: bool = False

    @property
    def overrides(self) -> list[str]:
        """The same as overrides of the config."""
        given = {"repo": self.repo, "tag": self.tag, "branch": self.branch, "message": self.message}
        # Quoted as JSON, so that a tag such as 1.0 stays the text that was given.
        overrides = [f"publish.{key}={json.dumps(value)}" for key, value in given.items() if value is not None]
        return [*overrides, "publish.private=true"] if self.private else overrides

    def apply_counterpart(self, config: TuneConfig) -> TuneConfig:
        """Returns the config with repository and counterpart, and their kinds of artifact, changed over if asked for.

        Raises:
            ConfigError: The config does not name both repositories.
        """
        publish = config.publish
        if not self.counterpart:
            return config
        if publish.repo is None or publish.counterpart is None:
            raise ConfigError(
                "--counterpart was given, and the config does not name two repositories.",
                hint="Set both in the config: `publish.repo`, and `publish.counterpart` for the other kind of "
                "artifact.",
            )
        other = "merged" if publish.artifact == "adapter" else "adapter"
        changed = {"repo": publish.counterpart, "counterpart": publish.repo, "artifact": other}
        return config.model_copy(update={"publish": publish.model_copy(update=changed)})

    def require_fit(self, config: TuneConfig) -> None:
        """Checks that the options fit the config that they were put into.

        Raises:
            ConfigError: A pull request is asked for, and the config names a branch to push to.
        """
        if self.propose and config.publish.branch != "main":
            raise ConfigError(
                f"A pull request is made to the branch main, and `publish.branch` is {config.publish.branch}.",
                hint="Leave out --create-pr; or leave out --branch and `publish.branch`.",
            )
