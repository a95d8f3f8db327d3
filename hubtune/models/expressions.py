"""Matches the regular expressions of an adapter's settings, a stranger's text, within one limit of time for all.

What peft gets of them is names: its own matching knows no limit.
"""

import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from hubtune.errors import HubtuneError, ModelError

if TYPE_CHECKING:
    import regex

# How long all the expressions of an adapter may take for all of a model's modules.
_SECONDS = 5.0
# What takes memory to compile or never ends: groups repeated by a count, and groups that call themselves.
_COUNT = re.compile(r"\{(\d{0,5})(?:,(\d{0,5}))?\}")
_GROUP = re.compile(r"\(\?(?!:|=|!|<=|<!|P<)")
_MOST_REPEATS = 10_000
# peft tries each pattern for each module by `re`, which holds 512 compiled ones.
_MOST_FOR_PEFT = 200
_LONGEST = 3_000
_SHOWN = 80
_HINT = "Ask its author to list the modules by name in place of an expression."

Patterns = Mapping[str, int | float]
"""Expressions for the ends of modules' names, and what holds for those."""


class Expressions:
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
        """Returns the names that an expression fits as a whole, as `re.fullmatch` has it.

        Raises:
            HubtuneError: The expression is faulty, or takes too long.
        """
        import regex

        shown = f"`{setting}` in {self._told} holds the expression {_shown(expression)}"
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
        """Returns the value whose key fits the end of a module's name, as peft finds it; None if none does."""
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
        """Returns patterns that mean the same for `modules`, and that peft matches in little time.

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
    """Returns the names that are a module's or end one; of a few, all, as they are saved with the adapter again."""
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


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
