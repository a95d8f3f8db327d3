"""Which tests `make test`, `make test-all` and `make trials` run, told from the fixtures that each test takes.

- `make test` is `--tier test`: every test that needs no model; of each test on a tiny model one case, drawn by a seed;
  and of whole commands on a tiny model the main job, and a seeded part of each other file.
- `make test-all` adds `--tier rest`: what that leaves out, and what opens pages in Chromium, trains the real model or
  mounts a disk. Nothing runs twice.
- `make trials` is `--tier trials`: everything, with the cases marked `full_trial` and the full counts of seeded trials.

Without `--tier`, pytest runs what it is given of `test` and `rest`.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import pytest

TIERS = ("test", "rest", "trials")

# What the fixtures of a test say about it: a test that takes one of these gets the mark.
_FIXTURES = {
    "browser": {"browser"},
    "real_model": {"real_model"},
    "mount": {"mount"},
    "model": {"tiny"},
}
MARKS = {
    "browser": "opens pages in Chromium",
    "real_model": "trains the real SmolLM2; the slowest of all",
    "mount": "mounts a disk, as root may",
    "model": "loads or trains a tiny model",
    "full_trial": "a case of a kind of which the other tiers have another already; the one mark that is given by hand",
}
_NOT_EVERYWHERE = ("browser", "real_model", "mount")

# Whole commands on a model take most of the time. What they do is tested piece by piece too, so that `make test` has
# the main job, and of the other files every third test or at least one.
_COMMANDS = "tests/end_to_end/"
_MAIN_JOB = "tests/end_to_end/test_job.py"
_ONE_IN = 3

# Another number draws other cases for `make test`; `make trials` needs none.
SEED = 28


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
    left = {item.nodeid for item in items if any(item.get_closest_marker(mark) for mark in _NOT_EVERYWHERE)}
    of_models = [item.nodeid for item in items if item.get_closest_marker("model") and item.nodeid not in left]
    cases = _grouped(of_models, lambda name: name.partition("[")[0])
    drawn = [name for test, names in cases.items() for name in _drawn(names, 1, test)]
    commands = [name for name in drawn if name.startswith(_COMMANDS) and not name.startswith(_MAIN_JOB)]
    for file, names in _grouped(commands, lambda name: name.partition("::")[0]).items():
        left.update({*names} - {*_drawn(names, -(-len(names) // _ONE_IN), file)})
    return left | {*of_models} - {*drawn}


def _grouped(names: Iterable[str], by: Callable[[str], str]) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for name in names:
        groups[by(name)].append(name)
    return groups


def _drawn(names: Sequence[str], count: int, of: str) -> list[str]:
    return random.Random(f"{SEED} {of}").sample(names, count)
