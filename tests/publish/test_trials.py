"""Whatever happens to one request of a release, to all from there on, or to the publisher, one release comes of it.

The next attempt finds or makes it; and of many who want one tag, one gets it.

The requests are counted on a clean release. The plan is that of a run, with few files: each more is one more download.
"""

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from urllib.request import urlopen

import pytest

from hubtune.errors import HubError, HubtuneError, PublishConflictError, TagExistsError
from hubtune.hub.client import requests_sent_once
from hubtune.localhub import FaultRule, Faults, InjectedFault
from hubtune.publish.plan import ReleasePlan
from hubtune.publish.push import push
from hubtune.records.base import sha256_bytes
from tests.listener import Listener
from tests.publish.publishing_process import small_plan
from tests.sample_runs import finished_run
from tests.served_hub import ServedHub, serve

CHECKOUT = Path(__file__).parents[2]
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


class Killer(Faults):
    """Kills a process when its request of some number arrives, before any of the work is done.

    To be killed before a request is to be killed after the one before it, so every moment between two is covered.
    """

    def __init__(self) -> None:
        super().__init__()
        self.victim: subprocess.Popen[bytes] | None = None
        self.at = 0

    def meet(self, method: str, path: str) -> InjectedFault | None:
        if self.victim is not None:
            self.at -= 1
            if self.at == 0:
                self.victim.kill()
                self.victim.wait()
                self.victim = None
                return InjectedFault(drop=True)
        return super().meet(method, path)


@pytest.fixture(scope="module")
def killer() -> Killer:
    return Killer()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, killer: Killer) -> Iterator[ServedHub]:
    folder = tmp_path_factory.mktemp("trials")
    with (
        pytest.MonkeyPatch.context() as patch,
        serve(folder / "hub", folder / "cache", patch, faults=killer) as hub,
        # Else each attempt would make a session of its own, which takes as long as the attempt.
        requests_sent_once(),
    ):
        yield hub


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory.mktemp("planned") / "run").path


@pytest.fixture(scope="module")
def planned(run_folder: Path) -> Callable[[str], ReleasePlan]:
    """Plans the same run for a repository of the trial's own."""
    return lambda repo: small_plan(run_folder, repo)


@pytest.fixture(scope="module")
def requests_of_a_release(hub: ServedHub, planned: Callable[[str], ReleasePlan]) -> int:
    push(planned("org/clean"), Listener())
    return len(hub.requests())


def history(hub: ServedHub, repo: str) -> list[str]:
    return [commit.commit_id for commit in hub.api.list_repo_commits(repo)]


def require_one_release(hub: ServedHub, plan: ReleasePlan, made: str, earlier: list[str]) -> None:
    """Asserts that the repository has one commit more than before, which holds the plan and has the one tag."""
    head, *before = history(hub, plan.repo)
    assert head == made
    # A repository that is new starts with a commit of the Hub's own.
    assert before == earlier if earlier else len(before) == 1
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
    failed = 0
    for trial, (fault, which, number) in enumerate(random.Random(17).sample(every, trials(16, len(every)))):
        plan = planned(f"org/struck-{trial}")
        earlier = []
        if trial % 2:
            hub.commit(plan.repo, {"notes.md": b"mine"})
            earlier = history(hub, plan.repo)
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
    assert failed > 0


def test_a_publisher_killed_at_any_request_is_followed_by_one_that_makes_one_release(
    hub, killer, planned, run_folder, requests_of_a_release, trials
):
    numbers = range(1, requests_of_a_release + 1)
    for number in random.Random(5).sample(numbers, trials(4, len(numbers))):
        plan = planned(f"org/killed-{number}")
        killer.at = number
        command = [sys.executable, "-m", "tests.publish.publishing_process", str(run_folder), plan.repo]
        with subprocess.Popen(command, cwd=CHECKOUT, env={**os.environ, "HF_ENDPOINT": hub.url}) as victim:
            killer.victim = victim
        assert victim.returncode == -9, number
        require_one_release(hub, plan, push(plan, Listener()), [])


def test_of_many_who_want_one_tag_one_gets_it_and_the_others_change_nothing(hub, planned, trials):
    count = trials(8, 50)
    common = planned("org/wanted")
    barrier = Barrier(count)

    def publish(number: int, wait: Callable[[], object] = barrier.wait) -> str | HubError:
        weights = b"weights of publisher %d" % number
        mine = {"adapter_model.safetensors": weights, "hubtune.json": common.files["hubtune.json"] + b" " * number}
        digests = {path: sha256_bytes(content) for path, content in mine.items()}
        plan = replace(common, files={**common.files, **mine}, digests={**common.digests, **digests})
        wait()
        try:
            return push(plan, Listener())
        except HubError as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        ends = list(pool.map(publish, range(count)))

    (made,) = (end for end in ends if isinstance(end, str))
    refused = [end for end in ends if not isinstance(end, str)]
    assert {type(error) for error in refused} <= {TagExistsError, PublishConflictError}
    assert all(error.hint for error in refused)
    head, *before = history(hub, common.repo)
    assert (head, len(before)) == (made, 1)
    assert hub.tags(common.repo) == {"v1.0.0": made}
    # Later, too, the winner finds its release, and each of the others is refused.
    later = [publish(number, wait=int) for number in range(count)]
    assert [end for end in later if not isinstance(end, TagExistsError)] == [made]
    assert hub.tags(common.repo) == {"v1.0.0": made}
