"""Whatever happens to one request of a release, or to all from there on, the next attempt ends in just one release.

The requests are counted on a clean release of the same run; each is then struck by each fault of the embedded Hub.
"""

import random
from collections.abc import Callable, Iterator
from itertools import count
from urllib.request import urlopen

import pytest

from hubtune.errors import HubtuneError
from hubtune.localhub import FaultRule
from hubtune.publish.plan import ReleasePlan, plan_release
from hubtune.publish.push import push
from hubtune.records.base import sha256_bytes
from tests.listener import Listener
from tests.sample_runs import LEGAL, finished_run
from tests.served_hub import ServedHub, serve

FAULTS = [
    *(
        {"status": status, "when": when}
        for status in (401, 403, 404, 409, 412, 429, 500, 503)
        for when in ("before", "after")
    ),
    {"drop": True, "when": "before"},
    {"drop": True, "when": "after"},
    {"body": "half"},
    {"body": "wrong"},
]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    folder = tmp_path_factory.mktemp("trials")
    with pytest.MonkeyPatch.context() as patch, serve(folder / "hub", folder / "cache", patch) as hub:
        yield hub


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ReleasePlan]:
    """Plans the same run for a repository of the trial's own."""
    folder = tmp_path_factory.mktemp("planned")
    base = folder / "base"
    base.mkdir()
    (base / "tokenizer.json").write_text('{"version": "1.0"}')
    run = finished_run(folder / "run")
    card = run.card_file.read_text()
    return lambda repo: plan_release(run, run.config(), repo, base, card, LEGAL)


@pytest.fixture(scope="module")
def requests_of_a_release(hub: ServedHub, planned: Callable[[str], ReleasePlan]) -> int:
    push(planned("org/clean"), Listener())
    return len(hub.requests())


def require_one_release(hub: ServedHub, plan: ReleasePlan, made: str, earlier: list[str]) -> None:
    """Asserts that the repository has one commit more than before, which holds the plan and has the one tag."""
    history = [commit.commit_id for commit in hub.api.list_repo_commits(plan.repo)]
    assert history[0] == made
    assert len(history) == 1 + max(1, len(earlier))
    assert history[1:] == (earlier or history[1:])
    assert hub.tags(plan.repo) == {plan.tag: made}
    for path, digest in plan.digests.items():
        with urlopen(f"{hub.url}/{plan.repo}/resolve/{plan.tag}/{path}") as answer:
            assert sha256_bytes(answer.read()) == digest, path


def test_after_any_fault_of_any_request_the_next_attempt_makes_one_release(hub, planned, requests_of_a_release, trials):
    every = [
        (fault, which, number)
        for fault in FAULTS
        for which in ("nth", "from")
        for number in range(1, requests_of_a_release + 1)
    ]
    chosen = random.Random(17).sample(every, trials(25, len(every)))
    failed = 0
    for trial, (fault, which, number) in zip(count(), chosen):
        plan = planned(f"org/struck-{trial}")
        # Half of them find a repository that is there.
        earlier = [hub.commit(plan.repo, {"notes.md": b"mine"})] if trial % 2 else []
        earlier += [commit.commit_id for commit in hub.api.list_repo_commits(plan.repo)][1:] if earlier else []
        hub.faults.add(FaultRule.model_validate({**fault, which: number}))
        try:
            push(plan, Listener(), wait=[].append)
        except HubtuneError:
            failed += 1
        finally:
            hub.faults.clear()
        try:
            require_one_release(hub, plan, push(plan, Listener(), wait=[].append), earlier)
        except BaseException as error:
            error.add_note(f"after {fault} of request {which} {number} of {requests_of_a_release}")
            raise
    assert 0 < failed < len(chosen)
