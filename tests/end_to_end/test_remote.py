"""A run on Hugging Face Jobs, against a stand-in that really runs the job: what is sent, and what comes back."""

import json
import re
import signal
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hubtune import __version__
from hubtune.errors import ConfigError, HubError, MissingTokenError, PermissionDeniedError, RemoteJobError
from tests.end_to_end.worlds import TARGET, Result, World, untimed
from tests.jobs_stand_in import Jobs, jobs_on

CANARY = "hf_annannann"
OTHER = "canary-of-another-secret-8h2k"
WHEEL = f"https://example.com/hubtune-{__version__}-py3-none-any.whl"
OTHER_WHEEL = "https://example.com/hubtune-0.0.1-py3-none-any.whl"
REMOTE = ("--remote", "cpu-basic", "--wheel", WHEEL)
RUN = ("--json", "run", *REMOTE, "--run-dir", "run", "--timeout", "2h")


@pytest.fixture(scope="module")
def done(once, seeded) -> World:
    """A world after a run with --push on the stand-in; its log broke off twice, and an answer was lost.

    `asked.json` has what the API was asked, `out` and `err` what the command printed.
    """

    def make(folder: Path) -> None:
        world = seeded.copy(folder)
        world.forget_requests()
        with jobs_on(world, _auth(folder)) as jobs:
            jobs.cut_logs, jobs.lose_answers = [3, 5], [0]
            env = {"HF_ENDPOINT": jobs.url, "HF_TOKEN": CANARY, "OTHER_SECRET": OTHER}
            result = world.hubtune(*RUN, "--push", "--secret", "OTHER_SECRET", **env)
            assert result.code == 0, result.err
            asked = {
                "jobs": [{**job.shown(), "lines": job.lines, "packages": job.packages} for job in jobs.all.values()],
                "requests": jobs.requests,
                "timeout": jobs.last.spec["timeoutSeconds"],
                "secrets": jobs.last.spec["secrets"],
            }
        (folder / "asked.json").write_text(json.dumps(asked))
        (folder / "out").write_text(result.out)
        (folder / "err").write_text(result.err)

    return World(once("remote", make))


@pytest.fixture(scope="module")
def asked(done: World) -> dict:
    return json.loads((done.root / "asked.json").read_text())


def _auth(folder: Path) -> Path:
    path = folder / "auth.yaml"
    path.write_text(f"users:\n  - {{name: ann, token: {CANARY}, orgs: [{{name: lab}}]}}\n")
    return path


@pytest.fixture
def jobs(world: World, tmp_path: Path) -> Iterator[Jobs]:
    """A stand-in whose jobs do nothing until a test ends them."""
    with jobs_on(world, _auth(tmp_path)) as jobs:
        jobs.run_jobs = False
        yield jobs


@pytest.fixture
def submit(world: World, jobs: Jobs) -> Callable[..., Result]:
    """Runs `hubtune run --remote` there."""

    def run(*arguments: str, **env: str | None) -> Result:
        given = {"HF_ENDPOINT": jobs.url, "HF_TOKEN": CANARY, **env}
        return world.hubtune("run", "--run-dir", "run", *arguments, **given)

    return run


def test_the_job_installs_this_version_and_runs_what_was_committed(done, asked):
    (job,) = asked["jobs"]
    assert job["packages"] == [f"hubtune[train] @ {WHEEL}"]
    assert job["dockerImage"] == "ghcr.io/astral-sh/uv:python3.12-bookworm"
    assert job["flavor"] == "cpu-basic"
    assert asked["timeout"] == 7200
    assert job["command"][-4:-1] == ["hubtune", "job", "ann/hubtune-jobs"]
    assert re.fullmatch("[0-9a-f]{40}", job["command"][-1])


def test_a_lost_answer_does_not_submit_a_second_job(asked):
    assert len(asked["jobs"]) == 1
    assert [line for line in asked["requests"] if line.startswith("POST")] == ["POST /api/jobs/ann"]


def test_a_log_that_breaks_off_is_followed_on_and_no_line_is_shown_twice(done, asked):
    err = (done.root / "err").read_text()
    shown = [line for line in asked["jobs"][0]["lines"][1:] if "hubtune-" in line or "parameters" in line]
    assert len(shown) >= 2
    for line in shown:
        assert err.count(line) == 1
    assert asked["requests"].count(f"GET /api/jobs/ann/{asked['jobs'][0]['id']}/logs") >= 3


def test_the_record_and_the_card_name_the_job(done, asked):
    (job,) = asked["jobs"]
    named = {"id": job["id"], "image": job["dockerImage"], "flavor": "cpu-basic"}
    assert done.record("training.json")["job"] == named
    assert all(value in (done.run_dir / "README.md").read_text() for value in named.values())
    remote = done.record("remote.json")
    assert remote["job"] == job["id"]
    assert remote["secrets"] == ["HF_TOKEN", "OTHER_SECRET"]


def test_the_job_gives_the_records_of_a_run_here(done, released):
    """The same lock, the same machine: the same losses, the same bits of the adapter, the same measures."""
    assert (done.work / "hubtune.lock").read_bytes() == (released.work / "hubtune.lock").read_bytes()
    here, there = released.record("training.json"), done.record("training.json")
    timed = {"started": None, "seconds": None, "cost": None, "job": None, "upstream": None}
    assert here["cost"]["operations"] == there["cost"]["operations"]
    assert {**here, **timed} == {**there, **timed}
    # A place on a disk is no part of what was read.
    assert released.record("data.json") == done.record("data.json")
    assert untimed(released.record("evaluation.json")) == untimed(done.record("evaluation.json"))
    assert released.record("pins.json") == done.record("pins.json")
    for name in there["files"]:
        assert (released.run_dir / "adapter" / name).read_bytes() == (done.run_dir / "adapter" / name).read_bytes()


def test_the_job_published_the_release_and_the_run_here_says_so(done):
    release = json.loads((done.root / "out").read_text())
    assert release["repo"] == TARGET
    assert release["run_dir"] == str(done.run_dir)
    assert release == done.record("release.json")
    with done.served() as api:
        assert [ref.target_commit for ref in api.list_repo_refs(TARGET).tags] == [release["commit"]]
        assert api.dataset_info("ann/hubtune-jobs").private is True


def test_no_secret_is_in_an_argument_an_environment_a_log_a_record_or_a_repository(done, asked):
    """They are in the one field of the request that is for secrets, and nowhere else."""
    secrets = asked.pop("secrets")
    assert secrets == {"HF_TOKEN": CANARY, "OTHER_SECRET": OTHER}
    (job,) = asked["jobs"]
    assert job["secrets"] == {"HF_TOKEN": None, "OTHER_SECRET": None}
    for secret in secrets.values():
        assert secret not in json.dumps(asked)
        assert secret not in (done.root / "out").read_text() + (done.root / "err").read_text()
        # The auth file names the token, and asked.json was read above.
        places = [done.hub, done.work, *done.root.glob("job-*")]
        holding = [
            path
            for place in places
            for path in place.rglob("*")
            if path.is_file() and not path.is_symlink() and secret.encode() in _plain(path)
        ]
        assert holding == []


def _plain(path: Path) -> bytes:
    content = path.read_bytes()
    try:
        # As git keeps an object of its own.
        return content + zlib.decompress(content)
    except zlib.error:
        return content


def test_a_run_that_was_fetched_is_not_fetched_or_submitted_again(done, tmp_path):
    world = done.copy(tmp_path / "world")
    with jobs_on(world, _auth(tmp_path)) as jobs:
        again = world.done(*RUN, "--push", "--resume", HF_ENDPOINT=jobs.url, HF_TOKEN=CANARY)
        assert jobs.requests == []
    assert json.loads(again.out) == json.loads((done.root / "out").read_text())


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (402, PermissionDeniedError, ["no credit", "settings/billing"]),
        (403, PermissionDeniedError, ["may not use jobs", "start and manage jobs"]),
        (404, HubError, ["has no jobs", "--remote"]),
    ],
)
def test_a_hub_that_refuses_jobs_is_told_as_such(submit, jobs, status, error, words):
    jobs.refuse = (status, "Not for you")
    submit(*REMOTE).refused(error, *words)
    assert jobs.all == {}


def test_a_hub_without_jobs_is_told_as_such(world, tmp_path):
    with world.served() as api:
        result = world.hubtune("run", *REMOTE, HF_ENDPOINT=api.endpoint, HF_TOKEN="any")
    result.refused(HubError, "has no jobs")


def test_a_flavor_that_does_not_exist_is_refused_with_those_that_do(submit, jobs):
    submit("--remote", "h900", "--wheel", WHEEL).refused(ConfigError, "'h900'", "a10g-small: Nvidia A10G", "$0.0002")
    assert jobs.all == {}


@pytest.mark.parametrize(
    ("stage", "message", "words"),
    [
        ("CANCELED", "Job timeout", ["was canceled: Job timeout", "--resume", "--timeout"]),
        ("DELETED", None, ["was deleted", "--resume"]),
        ("ERROR", "Job failed with exit code: 2.", ["failed: Job failed with exit code: 2", "log above"]),
    ],
)
def test_a_job_that_does_not_complete_ends_the_command_and_another_can_be_submitted(
    world, jobs, submit, stage, message, words
):
    with ThreadPoolExecutor(1) as running:
        first = running.submit(submit, *REMOTE)
        jobs.end(jobs.submitted(1), stage, message)
        first.result().refused(RemoteJobError, *words)
        again = running.submit(submit, *REMOTE, "--resume")
        other = jobs.submitted(2)
        jobs.end(other, "CANCELED")
        again.result().refused(RemoteJobError, other.id)


def test_lines_of_the_log_steer_no_terminal_and_a_secret_in_them_is_masked(jobs, submit):
    with ThreadPoolExecutor(1) as running:
        ran = running.submit(submit, *REMOTE)
        job = jobs.submitted(1)
        jobs.say(job, "\x1b[2J\x1b]0;owned\x07 \u202e reversed", f"token {CANARY}", "[red]not red[/red]")
        jobs.end(job, "ERROR")
        err = ran.result().err
    assert "\\x1b[2J\\x1b]0;owned\\x07 \\u202e reversed" in err
    assert "token [token]" in err
    assert "[red]not red[/red]" in err
    assert not {"\x1b", "\x07", "\u202e"}.intersection(err)
    assert CANARY not in err


def test_a_connection_that_is_lost_for_longer_is_waited_for(jobs, submit):
    """The client itself gives up at the first answer of 503 about a job's stage."""
    jobs.unavailable = 2
    with ThreadPoolExecutor(1) as running:
        ran = running.submit(submit, *REMOTE)
        job = jobs.submitted(1)
        jobs.say(job, "the only line")
        jobs.cut_logs.append(2)
        jobs.end(job, "CANCELED")
        result = ran.result()
    result.refused(RemoteJobError, "was canceled")
    assert "Following the job" in result.err
    assert result.err.count("the only line") == 1


@pytest.fixture
def interrupted(world: World, tmp_path: Path) -> World:
    """A world whose job got SIGTERM while it trained, and whose second job resumed; `run2` is a run of this machine."""
    config = ("-s", "train.epochs=20")
    with jobs_on(world, _auth(tmp_path)) as jobs, ThreadPoolExecutor(1) as running:
        env = {"HF_ENDPOINT": jobs.url, "HF_TOKEN": CANARY}
        first = running.submit(world.hubtune, *RUN, *config, **env)
        job = jobs.submitted(1)
        jobs.until_said(job, "Training: ")
        jobs.end(job, "CANCELED", "Job timeout")
        assert first.result().code == RemoteJobError.exit_code, first.result().err
        job.process.wait()
        again = world.hubtune(*RUN, *config, "--resume", "--remote", "a10g-small", "--timeout", "3h", **env)
        assert again.code == 0, again.err
        assert "Resuming after step" in again.err
        assert jobs.last.spec["flavor"] == "a10g-small"
        assert jobs.last.spec["timeoutSeconds"] == 3 * 3600
        world.done("run", "--run-dir", "run2", *config, **env)
    return world


def test_a_job_that_was_stopped_is_resumed_by_another_with_the_same_numbers(interrupted):
    there, here = interrupted.record("training.json"), interrupted.record("training.json", "run2")
    # At a stop the loss is logged once more, so the points of the curve may differ.
    for name in ("files", "steps", "tokens"):
        assert there[name] == here[name]
    assert (there["job"]["id"], there["job"]["flavor"]) == (f"{2:024x}", "a10g-small")
    evaluations = [interrupted.record("evaluation.json", run) for run in ("run", "run2")]
    assert untimed(evaluations[0]) == untimed(evaluations[1])
    assert not (interrupted.run_dir / "checkpoints").exists()


def test_ctrl_c_leaves_the_job_alone_and_says_how_to_follow_and_to_cancel_it(world, jobs):
    env = {"HF_ENDPOINT": jobs.url, "HF_TOKEN": CANARY}
    with world.start("run", *REMOTE, "--run-dir", "run", **env) as process:
        job = jobs.submitted(1)
        for line in process.stderr:
            if line.startswith("Job "):
                break
        process.send_signal(signal.SIGINT)
        err, out = process.stderr.read(), process.stdout.read()
    assert (process.returncode, out) == (130, "")
    assert job.stage == "RUNNING"
    assert f"hf jobs cancel {job.id}" in err
    assert f"--resume --run-dir {world.run_dir}" in err
    assert "Traceback" not in err
    # Here it is another machine's, until it was fetched.
    here = world.hubtune("run", "--resume", "--run-dir", "run", **env)
    here.refused(ConfigError, "run on another machine", "--remote")
    # And the same command with --resume finds it, and submits no other.
    followed = job.followed
    with ThreadPoolExecutor(1) as running:
        again = running.submit(world.hubtune, "run", *REMOTE, "--resume", "--run-dir", "run", **env)
        jobs.until_followed(job, followed + 1)
        jobs.end(job, "CANCELED")
        again.result().refused(RemoteJobError, job.id)
    assert len(jobs.all) == 1


def test_a_command_that_ended_before_it_knew_the_job_s_id_finds_the_job(world, jobs, submit):
    jobs.lose_answers = [3600]
    submit(*REMOTE).refused(HubError, "Bad Gateway")
    assert world.record("remote.json")["job"] is None
    with ThreadPoolExecutor(1) as running:
        again = running.submit(submit, *REMOTE, "--resume")
        jobs.until_followed(jobs.last, 1)
        jobs.end(jobs.last, "CANCELED")
        again.result().refused(RemoteJobError, jobs.last.id)
    assert len(jobs.all) == 1


LOCAL = {
    "data": ("data__path", "data[0].path", "hubtune hub import", "--type dataset"),
    "DeepSpeed": ("train__deepspeed", "train.deepspeed", "Leave them out"),
    "card templates": ("card__templates", "card.templates", "Leave them out"),
}


@pytest.mark.parametrize("kind", LOCAL)
def test_files_of_this_machine_are_refused_with_what_to_do(world, jobs, submit, kind):
    key, *words = LOCAL[kind]
    if kind == "data":
        (world.work / "rows.jsonl").write_text('{"author": "a", "quote": "b"}\n')
        world.config(data__repo=None, data__path="rows.jsonl")
    else:
        (world.work / "mine").mkdir()
        world.config(**{key: "mine"})
    submit(*REMOTE).refused(ConfigError, *words)
    assert (jobs.all, jobs.requests) == ({}, [])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("--remote", "cpu-basic"), ConfigError, ["development version", "--wheel"]),
        (("--remote", "cpu-basic", "--wheel", OTHER_WHEEL), ConfigError, [f"version {__version__}"]),
        ((*REMOTE, "--secret", "UNSET_SECRET"), ConfigError, ["no variable UNSET_SECRET"]),
        ((*REMOTE, "--launch", "torchrun '"), ConfigError, ["is not a command line"]),
        ((*REMOTE, "--hub", "hub2"), ConfigError, ["cannot reach"]),
        (("--timeout", "2h"), ConfigError, ["--timeout is only for", "--remote FLAVOR"]),
        (("--secret", "A"), ConfigError, ["--secret is only for"]),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_is_asked(jobs, submit, arguments, error, words):
    submit(*arguments).refused(error, *words)
    assert jobs.requests == []


@pytest.mark.parametrize("value", ["2 hours", "0", "-1h", "2w", "nan", "", "0.0001s", "1e9h"])
def test_a_timeout_that_is_none_is_refused(jobs, submit, value):
    result = submit(*REMOTE, "--timeout", value)
    assert result.code == 2
    assert f"{value!r} is not a duration: give a number with s, m, h or d, such as 90m or 2h" in result.err
    assert jobs.requests == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--secret", f"NAME={OTHER}"),
        ("--wheel", f"https://user:{OTHER}@example.com/hubtune-1-py3-none-any.whl"),
        ("--wheel", f"https://example.com/hubtune-1-py3-none-any.whl?token={OTHER}"),
    ],
)
def test_a_secret_s_value_on_the_command_line_is_refused_and_not_repeated(jobs, submit, option, value):
    result = submit(*REMOTE, option, value)
    assert result.code == 2
    assert OTHER not in result.out + result.err
    assert jobs.requests == []


def test_without_a_token_there_is_no_job(jobs, submit):
    submit(*REMOTE, HF_TOKEN=None).refused(MissingTokenError, "needs a token", "hf auth login")
    assert jobs.requests == []


def test_the_job_installs_the_extras_and_trackers_that_the_config_needs(jobs, submit):
    with ThreadPoolExecutor(1) as running:
        ran = running.submit(
            submit, *REMOTE, "-s", "train.report_to=[trackio, wandb]", "-s", "train.country=FRA", "--launch", "a b"
        )
        job = jobs.submitted(1)
        jobs.end(job, "CANCELED")
        ran.result().refused(RemoteJobError)
    assert job.packages == [f"hubtune[train,track,cost] @ {WHEEL}", "wandb"]


def test_fsdp_without_a_launcher_is_refused_here_and_not_in_the_job(jobs, submit):
    submit(*REMOTE, "-s", "train.fsdp=true").refused(ConfigError, "train.fsdp", "--launch")
    assert jobs.all == {}


def test_a_dry_run_checks_the_flavor_and_submits_nothing(world, jobs, submit):
    shown = submit(*REMOTE, "--dry-run")
    assert (shown.code, shown.err.count("Error")) == (0, 0)
    assert "Nothing was written" in shown.out
    submit("--remote", "h900", "--wheel", WHEEL, "--dry-run").refused(ConfigError, "'h900'")
    assert jobs.all == {}
    assert not world.run_dir.exists()
