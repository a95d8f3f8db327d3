"""Reads the adapter_config.json of a LoRA adapter, which is untrusted: only settings that are understood are used.

Settings that peft silently ignores are refused: unknown settings, classes and files that an adapter names, and
impossible values. The regular expressions that name modules are matched here too, with a time limit. peft gets plain
names instead of expressions that could take too long.
"""

import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hubtune.documents import parse_json_object
from hubtune.errors import FileError, HubtuneError, ModelError
from hubtune.files import read_bytes
from hubtune.records.release import ADAPTER_CONFIG
from hubtune.validation import faults_of

if TYPE_CHECKING:
    import regex


_MOST_BYTES = 4 << 20
# Each is matched with every module; the largest models that are trained have fewer modules with a rank of their own.
_MOST_PATTERNS = 1_000
_SHOWN = 80
_LORA = "LORA"
# Other ways to start (PiSSA, OLoRA, LoftQ, CorDA …) change the base's own weights when the adapter is put on it.
_HARMLESS_STARTS = {"gaussian", "orthogonal", "eva"}
_LIBRARIES = ("transformers", "transformers_modules")
# The modules of a whole network are not called so; peft puts these names into regular expressions.
_Name = Annotated[str, Field(pattern=r"^[\w.\-]+$", max_length=500)]
_Expression = Annotated[str, Field(min_length=1, max_length=4000)]
_Names = Annotated[list[_Name], Field(max_length=100_000)]
# peft tries each for each module, by `re`, which holds 512 compiled expressions.
_FewNames = Annotated[list[_Name], Field(max_length=400)]
_Rank = Annotated[int, Field(ge=1, le=1 << 20)]
_Scale = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
_Indices = Annotated[list[Annotated[int, Field(ge=0, le=1 << 30)]], Field(max_length=1_000_000)]
# What says how an adapter was trained, and leaves what it does as it is.
_NO_MATTER = {"peft_type", "peft_version", "runtime_config", "eva_config", "qalora_group_size"}
# How long all the expressions of an adapter may take for all of a model's modules.
_SECONDS = 5.0
# What takes memory to compile or never ends: groups repeated by a count, and groups that call themselves.
_COUNT = re.compile(r"\{(\d{0,5})(?:,(\d{0,5}))?\}")
_GROUP = re.compile(r"\(\?(?!:|=|!|<=|<!|P<)")
_MOST_REPEATS = 10_000
# peft tries each pattern for each module by `re`, which holds 512 compiled ones.
_MOST_FOR_PEFT = 200
_LONGEST = 3_000
_EXPRESSION_SHOWN = 80
_HINT = "Ask its author to list the modules by name in place of an expression."
Patterns = Mapping[str, int | float]
"""Expressions for the ends of modules' names, and what holds for those."""


class AdapterSettings(BaseModel):
    """The settings of an adapter_config.json that matter for a LoRA adapter; the keys are those of peft.

    Attributes:
        base_model_name_or_path: The base; for an adapter of the Hub, its id there.
        revision: Of the base.
        auto_mapping: The class of the base, if no `task_type` tells it.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    base_model_name_or_path: Annotated[str, Field(min_length=1, max_length=4096)]
    revision: str | None = None
    task_type: Literal["CAUSAL_LM", "SEQ_CLS"] | None = None
    auto_mapping: dict[str, str] | None = None
    inference_mode: bool = False
    r: _Rank = 8
    lora_alpha: _Scale = 8.0
    lora_dropout: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    use_rslora: bool = False
    use_dora: bool = False
    lora_bias: bool = False
    fan_in_fan_out: bool = False
    bias: Literal["none", "all", "lora_only"] = "none"
    target_modules: _Names | _Expression | None = None
    exclude_modules: _Names | _Expression | None = None
    modules_to_save: _FewNames | None = None
    layers_to_transform: Annotated[list[int], Field(max_length=_MOST_PATTERNS)] | int | None = None
    layers_pattern: _FewNames | _Name | None = None
    rank_pattern: Annotated[dict[_Expression, _Rank], Field(max_length=_MOST_PATTERNS)] | None = None
    alpha_pattern: Annotated[dict[_Expression, _Scale], Field(max_length=_MOST_PATTERNS)] | None = None
    trainable_token_indices: _Indices | dict[_Name, _Indices] | None = None
    init_lora_weights: bool | str | None = True
    ensure_weight_tying: bool = False
    megatron_core: Literal["megatron.core"] | None = None


def read_settings(folder: Path, name: str, error: type[HubtuneError] = ModelError) -> AdapterSettings:
    """Reads the adapter_config.json in `folder`.

    Args:
        folder: An adapter's folder.
        name: What follows "the adapter" in messages: REPO@COMMIT, or words such as "of this run".
        error: The kind of error to raise.

    Raises:
        HubtuneError: Of the kind `error`: there is no such file, it is not a JSON object within bounds, or it says what
            hubtune does not load; the message names the adapter and the setting.
    """
    path = folder / ADAPTER_CONFIG
    if not path.is_file():
        raise error(
            f"The adapter {name} has no {ADAPTER_CONFIG}, so it is not an adapter.",
            hint=f"An adapter is {ADAPTER_CONFIG} with adapter_model.safetensors; name a repository that holds both.",
        )
    try:
        content = read_bytes(path, most=_MOST_BYTES)
    except FileError as fault:
        # Its folder is that of a cache, which says nothing to who reads it.
        said = fault.message.replace(str(path), f"{ADAPTER_CONFIG} of the adapter {name}")
        raise error(said, hint="Choose another adapter or revision: an adapter's settings take a few kB.") from fault
    return parse_settings(content, name, error)


def parse_settings(content: bytes, name: str, error: type[HubtuneError] = ModelError) -> AdapterSettings:
    """Returns the settings in the text of an adapter_config.json; see `read_settings`."""
    told = f"{ADAPTER_CONFIG} of the adapter {name}"
    hint = "Ask its author to save the adapter again with a current version of peft."
    values = parse_json_object(content, told, error=error, hint=hint)
    kind = values.get("peft_type")
    if kind != _LORA:
        raise error(
            f"The adapter {name} is of the type {_shown(kind)}; hubtune loads LoRA adapters (`peft_type: LORA`).",
            hint="Load it with peft itself, or choose a LoRA adapter.",
        )
    if values.get("base_model_name_or_path") is None:
        raise error(
            f"{told} names no base model (`base_model_name_or_path` is missing or null), so nothing says which weights "
            "it belongs to.",
            hint="Ask its author to name the base model by its id on the Hub and, as `revision`, its commit.",
        )
    try:
        settings = AdapterSettings.model_validate(values)
    except ValidationError as faults:
        key = str(faults.errors(include_url=False, include_context=False)[0]["loc"][0])
        said = faults_of(faults)[0].text
        raise error(
            f"`{key}` in {told} is {_shown(values.get(key))}, which cannot be used: {said}.", hint=hint
        ) from None
    _check_known(settings, told, error)
    return settings


def _check_known(settings: AdapterSettings, told: str, error: type[HubtuneError]) -> None:
    """Refuses what an adapter says beyond what is loaded, and ways to start that change the base."""
    odd = {key: value for key, value in (settings.model_extra or {}).items() if value and key not in _NO_MATTER}
    if odd:
        key = min(odd)
        raise error(
            f"{told} uses `{_shown(key)[1:-1]}: {_shown(odd[key])}`, which hubtune does not know, so it cannot tell "
            "what the adapter does.",
            hint="Load it with peft itself, or choose an adapter without it.",
        )
    start = settings.init_lora_weights
    if isinstance(start, str) and start.lower() not in _HARMLESS_STARTS:
        raise error(
            f"{told} has init_lora_weights={_shown(start)}, which changes the base model's own weights when the "
            "adapter is put on it.",
            hint="Convert it to a plain LoRA adapter first: peft's path_initial_model_for_weight_conversion.",
        )
    mapping = settings.auto_mapping or {}
    library = mapping.get("parent_library")
    if mapping.keys() - {"base_model_class", "parent_library"} or (
        library is not None and library.partition(".")[0] not in _LIBRARIES
    ):
        raise error(
            f"{told} has an auto_mapping to code outside of transformers: {_shown(mapping)}.",
            hint="Ask its author for an adapter with a `task_type` in place of `auto_mapping`.",
        )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


class ModulePatterns:
    """The expressions of one adapter.

    Args:
        told: The settings' name, for messages.
        error: The kind of error to raise.
    """

    def __init__(self, told: str, error: type[HubtuneError] = ModelError) -> None:
        self._told = told
        self._error = error
        self._left = _SECONDS
        self._compiled: dict[str, regex.Pattern[str]] = {}
        self._values: dict[tuple[str, str], int | float | None] = {}

    def fitting(self, setting: str, expression: str, names: Iterable[str]) -> list[str]:
        """Returns the names that an expression matches completely, as `re.fullmatch` does.

        Raises:
            HubtuneError: The expression is faulty, or takes too long.
        """
        import regex

        shown = f"`{setting}` in {self._told} holds the expression {_shown_expression(expression)}"
        started, left = time.monotonic(), self._left
        found = []
        try:
            pattern = self._pattern(expression, shown)
            for name in names:
                self._left = left - (time.monotonic() - started)
                if self._left <= 0:
                    raise TimeoutError
                if pattern.fullmatch(name, timeout=self._left):
                    found.append(name)
        except (regex.error, OverflowError, RecursionError) as fault:
            raise self._error(f"{shown}, which is faulty: {fault}.", hint=_HINT) from None
        except TimeoutError:
            self._left = 0.0
            said = f"{shown}; matching this adapter's expressions takes more than {_SECONDS:g} seconds."
            raise self._error(said, hint=_HINT) from None
        self._left = left - (time.monotonic() - started)
        return found

    def value(self, setting: str, patterns: Patterns | None, module: str) -> int | float | None:
        """Returns the value whose key matches the end of a module's name, as in peft, or None."""
        key = (setting, module)
        if key not in self._values:
            self._values[key] = next(
                (
                    value
                    for expression, value in (patterns or {}).items()
                    if self.fitting(setting, rf"(?:.*\.)?(?:{expression})", [module])
                ),
                None,
            )
        return self._values[key]

    def for_peft(self, setting: str, patterns: Patterns | None, modules: Sequence[str]) -> dict[str, int | float]:
        """Returns patterns with the same meaning for `modules` that peft matches quickly.

        Few that are names to the last character stay as they are, as they are saved with the adapter again.

        Raises:
            HubtuneError: There are too many values, or as `fitting`.
        """
        given = patterns or {}
        if len(given) <= _MOST_FOR_PEFT and all(
            pattern.replace(".", "").replace("_", "").isalnum() for pattern in given
        ):
            return dict(given)
        names: dict[int | float, list[str]] = {}
        for module in modules:
            value = self.value(setting, given, module)
            if value is not None:
                names.setdefault(value, []).append(re.escape(module))
        made = {pattern: value for value, fitting in names.items() for pattern in _joined(fitting)}
        if len(made) > _MOST_FOR_PEFT:
            raise self._error(
                f"`{setting}` in {self._told} has {len(names):,} different values, more than hubtune loads.",
                hint="Ask its author for an adapter whose modules share a few ranks.",
            )
        return made

    def _pattern(self, expression: str, shown: str) -> "regex.Pattern[str]":
        import regex

        if expression not in self._compiled:
            counts = [int(most or least or 0) or 1 for least, most in _COUNT.findall(expression)]
            if math.prod(counts) > _MOST_REPEATS or _GROUP.search(expression) or "{" in _COUNT.sub("", expression):
                raise self._error(f"{shown}, which could take too long to match.", hint=_HINT)
            self._compiled[expression] = regex.compile(expression)
        return self._compiled[expression]


def known_names(names: Sequence[str], modules: Iterable[str]) -> list[str]:
    """Returns the names that are a module or the end of one; if there are few, all of them."""
    if len(names) <= _MOST_FOR_PEFT:
        return list(names)
    parts = [module.split(".") for module in modules]
    ends = {".".join(steps[start:]) for steps in parts for start in range(len(steps))}
    return sorted(ends.intersection(names))


def _joined(names: Sequence[str]) -> Iterable[str]:
    """Joins names to expressions that fit those names as a whole, none of them long."""
    room = max(1, _LONGEST // max(map(len, names)))
    for start in range(0, len(names), room):
        yield f"^(?:{'|'.join(names[start : start + room])})"


def _shown_expression(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _EXPRESSION_SHOWN else f"{text[:_EXPRESSION_SHOWN]}…"
