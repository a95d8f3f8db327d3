"""Which tests `make test`, `make test-all` and `make trials` run, told from the fixtures that each test takes.

- `make test` is `--tier test`: every test that needs no model; of each test on a tiny model one case, drawn by a seed;
  and of whole commands on a tiny model the main job, and a seeded part of each other file.
- `make test-all` adds `--tier rest`: what that leaves out, and what opens pages in Chromium, runs PostgreSQL, trains
  the real model, mounts a disk, measures memory, stops whole runs or trains in several processes. Nothing runs twice.
- `make trials` is `--tier trials`: everything, with the cases marked `full_trial` and the full counts of seeded trials.

Without `--tier`, pytest runs what it is given of `test` and `rest`.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import pytest

TIERS = ("test", "rest", "trials")

# What the fixtures of a test say about it: a test that takes one of these gets the mark.
_FIXTURES = {
    "browser": {"browser"},
    "postgres": {"postgres"},
    "real_model": {"real_model"},
    "mount": {"mount"},
    "model": {"tiny"},
    "memory": {"peak_memory"},
    "stopped": {"interrupted", "killed_sweep"},
    "processes": {"launched"},
}
MARKS = {
    "browser": "opens pages in Chromium",
    "postgres": "runs a PostgreSQL server",
    "real_model": "trains the real SmolLM2; the slowest of all",
    "mount": "mounts a disk, as root may",
    "model": "loads or trains a tiny model",
    "memory": "measures what memory whole processes take",
    "stopped": "stops whole runs of the installed command, which imports everything each time",
    "processes": "trains in several processes of a launcher, each of which imports everything",
    "full_trial": "a case of a kind of which the other tiers have another already; the one mark that is given by hand",
}
# `make test` needs no more than Python, git and make; how a stopped training is resumed is tested in tests/train too.
_LEFT = ("browser", "postgres", "real_model", "mount", "memory", "stopped", "processes")

# Whole commands on a model take most of the time. What they do is tested piece by piece too, so that `make test` has
# the main job, and of the other files every fourth test or at least one.
_COMMANDS = "tests/end_to_end/"
_MAIN_JOB = "tests/end_to_end/test_job.py"
_ONE_IN = 4

# Another number draws other cases for `make test`; `make trials` needs none.
SEED = 14


def marks_of(fixtures: Iterable[str]) -> list[str]:
    """The marks of a test that takes these fixtures."""
    taken = set(fixtures)
    return [mark for mark, telling in _FIXTURES.items() if taken & telling]


def chosen(items: Sequence[pytest.Item], tier: str | None) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Parts tests, which have their marks, into those of a tier and the others, each in their order."""
    if tier == "trials":
        return list(items), []
    sampled = [item for item in items if not item.get_closest_marker("full_trial")]
    if tier is not None:
        left = _left_to_the_rest(sampled)
        sampled = [item for item in sampled if (item.nodeid in left) is (tier == "rest")]
    kept = {item.nodeid for item in sampled}
    return sampled, [item for item in items if item.nodeid not in kept]


def _left_to_the_rest(items: Sequence[pytest.Item]) -> set[str]:
    left = {item.nodeid for item in items if any(item.get_closest_marker(mark) for mark in _LEFT)}
    of_models = [item.nodeid for item in items if item.get_closest_marker("model") and item.nodeid not in left]
    cases = _grouped(of_models, lambda name: name.partition("[")[0])
    drawn = [name for names in cases.values() for name in _drawn(names, 1)]
    commands = [name for name in drawn if name.startswith(_COMMANDS) and not name.startswith(_MAIN_JOB)]
    for names in _grouped(commands, lambda name: name.partition("::")[0]).values():
        left.update({*names} - {*_drawn(names, -(-len(names) // _ONE_IN))})
    return left | {*of_models} - {*drawn}


def _grouped(names: Iterable[str], by: Callable[[str], str]) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for name in names:
        groups[by(name)].append(name)
    return groups


def _drawn(names: Iterable[str], count: int) -> list[str]:
    # By a number of each name alone, so that a new test changes no draw but its own.
    return sorted(names, key=lambda name: hashlib.sha256(f"{SEED} {name}".encode()).digest())[:count]
