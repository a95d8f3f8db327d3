"""`make test` and `make test-all` part the tests between them: each runs once, and `make test` has a case of each."""

from dataclasses import dataclass

import pytest

from tests.tiers import chosen, marks_of


@dataclass(frozen=True)
class Item:
    """What a tier is told from: a collected test's name and its marks."""

    nodeid: str
    marks: tuple[str, ...] = ()

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self.marks else None


PLAIN = [Item("a.py::test_plain"), Item("a.py::test_cases[1]"), Item("a.py::test_cases[2]")]
TRAINED = [Item(f"b.py::test_trained[{number}]", ("model",)) for number in range(9)]
ALONE = Item("b.py::test_alone", ("model",))
COMMANDS = [Item(f"tests/end_to_end/test_{n // 4}.py::test_{n}", ("model",)) for n in range(9)]
JOB = [Item(f"tests/end_to_end/test_job.py::test_{n}", ("model",)) for n in range(4)]
ELSEWHERE = [
    Item(f"c.py::test_{mark}", (mark,)) for mark in ("browser", "real_model", "mount", "memory", "stopped", "processes")
]
SECOND = Item("a.py::test_cases[3]", ("full_trial",))
SECOND_TRAINED = Item("b.py::test_trained[9]", ("model", "full_trial"))
EVERY = [*PLAIN, *TRAINED, ALONE, *COMMANDS, *JOB, *ELSEWHERE, SECOND, SECOND_TRAINED]


def of(tier: str | None) -> list[Item]:
    kept, others = chosen(EVERY, tier)
    assert sorted([*kept, *others], key=EVERY.index) == EVERY
    return kept


def test_what_make_test_leaves_out_is_what_make_test_all_adds():
    test, rest = of("test"), of("rest")

    assert not {*test} & {*rest}
    assert sorted([*test, *rest], key=EVERY.index) == of(None) == EVERY[:-2]


def test_make_test_has_all_that_needs_no_model_and_one_case_of_each_test_that_does():
    test = of("test")

    assert test[:3] == PLAIN
    assert ALONE in test
    assert len({*test} & {*TRAINED}) == 1
    assert not {*test} & {*ELSEWHERE}


def test_make_test_has_the_main_job_and_of_each_other_file_of_commands_a_part():
    test = of("test")

    assert [len({*test} & {*COMMANDS[start : start + 4]}) for start in (0, 4, 8)] == [1, 1, 1]
    assert {*JOB} <= {*test}


def test_a_case_of_the_full_trials_never_stands_for_its_test():
    assert not {SECOND, SECOND_TRAINED} & {*of("test"), *of("rest")}
    assert of("trials") == EVERY


@pytest.mark.parametrize(
    ("fixtures", "marks"),
    [
        (("tmp_path", "request"), []),
        (("browser", "tmp_path"), ["browser"]),
        (("tiny_disk", "mount"), ["mount"]),
        (("real_model", "printed"), ["real_model"]),
        (("tiny", "gpt2", "seeded", "mount"), ["mount", "model"]),
    ],
)
def test_a_test_is_marked_by_its_fixtures(fixtures, marks):
    assert marks_of(fixtures) == marks


def test_the_marks_of_this_session_are_those_of_the_fixtures(tiny, request):
    assert request.node.get_closest_marker("model")
    assert not request.node.get_closest_marker("browser")
