"""`hubtune rate`: from a trained run to a published win rate; killed in between, and without torch after the pairs."""

import hashlib
import http.client
import json
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from hubtune.config.load import TargetOptions
from hubtune.evaluate.human_preference import win_rate
from hubtune.pipeline.context import RunContext
from hubtune.pipeline.published import read_release
from hubtune.pipeline.rating import Done, pairs_of, report
from hubtune.pipeline.stages import run_publish
from hubtune.records.base import sha256_file
from hubtune.records.ratings import PairsRecord, RatingsRecord
from hubtune.records.release import MANIFEST, RATED
from hubtune.records.rundir import RunDirectory
from hubtune.release.diff_record import card_inputs
from tests.end_to_end.verifying import Forge, contradicted, statuses, verify
from tests.end_to_end.worlds import TARGET, World
from tests.listener import Listener
from tests.sample_ratings import ratable_run, sample_pairs, session_of
from tests.served_hub import ServedHub, serve

RATED_TAG = "v1.1.0"


@dataclass(frozen=True)
class RatedWorld:
    """A run that two people rated, and its release."""

    run: RunDirectory
    hub: ServedHub
    forge: Forge


@pytest.fixture(scope="module")
def rated(released: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RatedWorld]:
    world = released.copy(tmp_path_factory.mktemp("rated"))
    with pytest.MonkeyPatch.context() as patch, serve(world.hub, world.root / "home/hub", patch) as hub:
        run = RunDirectory.open(world.run_dir)
        pairs_of(RunContext(run, Listener()), 12)
        for rater, answer in (("ann-of-the-lab", "a"), ("bob-of-the-lab", "tie")):
            session = session_of(run, rater)
            while not isinstance(trial := session.next(), Done):
                session.answer(trial.answered, answer)
        made = run_publish(RunContext(run, Listener()), TargetOptions(tag=RATED_TAG))
        yield RatedWorld(run, hub, Forge(hub, made.commit, {}))


def test_the_pairs_are_what_both_models_write_after_held_out_prompts(rated: RatedWorld):
    pairs = rated.run.read(PairsRecord)

    assert pairs.pairs
    assert pairs.prompts == len(pairs.pairs) + pairs.identical <= 12
    assert len({pair.prompt for pair in pairs.pairs}) == len(pairs.pairs)
    assert all(pair.prompt.startswith("Quote by the ") for pair in pairs.pairs)
    assert all(pair.base != pair.tuned for pair in pairs.pairs)


def test_a_rated_release_brings_the_win_rate_along_and_is_confirmed(rated: RatedWorld):
    record = report(rated.run)
    release = read_release(TARGET, RATED_TAG)

    assert release.ratings == record
    assert "2 people compared texts that the base model and the tuned model generated" in release.card
    assert card_inputs(release, release.config, RATED_TAG).ratings == record
    claims = statuses(verify(RATED_TAG))
    assert {name: status for name, status in claims.items() if status != "confirmed"} == {
        "evaluation": "unchecked",
        "origin": "unchecked",
    }


def test_neither_names_nor_answers_nor_texts_are_published(rated: RatedWorld):
    paths = rated.hub.api.list_repo_files(TARGET, revision=RATED_TAG)

    assert [path for path in paths if "rating" in path] == [RATED]
    published = read_release(TARGET, RATED_TAG).content
    assert not any(b"of-the-lab" in content for content in published.values())


def with_counts(record: RatingsRecord, **changes: int) -> RatingsRecord:
    return record.model_copy(update={"counts": record.counts.model_copy(update=changes)})


def with_rate_of_counts(record: RatingsRecord) -> RatingsRecord:
    return record.model_copy(update={"measure": win_rate(record.counts, record.measure.seed)})


@pytest.mark.parametrize(
    ("forge", "claim", "words"),
    [
        (lambda record: with_counts(record, tuned=99), "records", "another win rate than its counts give"),
        (lambda record: with_rate_of_counts(with_counts(record, tuned=99)), "card", "the records give"),
        (lambda record: record.model_copy(update={"upstream": {}}), "records", "does not say from which training.json"),
        (
            lambda record: record.model_copy(update={"upstream": {**record.upstream, "training.json": "0" * 64}}),
            "records",
            "was made from another training.json",
        ),
    ],
    ids=["another rate", "other counts", "of nothing", "of another training"],
)
def test_a_forged_win_rate_is_contradicted_though_every_digest_fits(rated: RatedWorld, forge, claim: str, words: str):
    release = read_release(TARGET, rated.forge.honest)
    content = forge(release.ratings).to_json().encode()
    digest = hashlib.sha256(content).hexdigest()
    manifest = json.loads(release.content[MANIFEST])
    manifest["files"][RATED] = manifest["records"]["ratings.json"] = digest
    forged = rated.forge.publish({RATED: content, MANIFEST: json.dumps(manifest, indent=2).encode()})

    assert words in contradicted(verify(forged))[claim]


def test_ratings_that_were_left_out_afterwards_are_missed(rated: RatedWorld):
    assert f"there is no {RATED}" in contradicted(verify(rated.forge.publish({RATED: None})))["records"]


ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/[\w-]+/")


@contextmanager
def page(world: World, run: RunDirectory) -> Iterator:
    with world.start("rate", run.path) as process:
        try:
            lines = iter(process.stderr.readline, "")
            yield process, next(found[0] for line in lines if (found := ADDRESS.search(line)))
        finally:
            process.kill()


def ask(address: str, body: str | None = None) -> str:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    connection.request("GET" if body is None else "POST", parts.path, body)
    text = connection.getresponse().read().decode()
    connection.close()
    return text


# Says on the last line which heavy packages were imported.
IMPORTED = """
import sys
from hubtune.cli.app import app
app(["--quiet", "rate", sys.argv[1], "--report"], standalone_mode=False)
print(*(name for name in ("torch", "transformers", "peft", "datasets") if name in sys.modules))
"""


def test_a_session_that_is_killed_between_answers_loses_none_and_needs_no_torch(bare: World):
    run = ratable_run(bare.work / "run", sample_pairs(4))
    with page(bare, run) as (process, address):
        for number in range(2):
            ask(address, f"answered={number}&answer=a")
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    kept = (run.ratings_dir / "rater1.jsonl").read_bytes()
    assert kept.count(b"\n") == 2
    # As if it had been killed in the middle of the third.
    (run.ratings_dir / "rater1.jsonl").write_bytes(kept + kept[:40])
    run.record_file(RatingsRecord).unlink()

    with page(bare, run) as (process, address):
        assert "Pair 3 of 4" in ask(address)
        ask(address, "answered=2&answer=tie")
        process.send_signal(signal.SIGINT)
        out = process.stdout.read()
        assert process.wait(30) == 0
    assert "answers: 3 of 1 rater" in out
    assert bare.execute([sys.executable, "-c", IMPORTED, str(run.path)]).out.splitlines()[-1] == ""
    assert sha256_file(run.record_file(PairsRecord)) in (run.ratings_dir / "rater1.jsonl").read_text()
