"""Nothing is lost: a run that was ended at any moment goes on to the same numbers."""

import contextlib
import json
import os
import select
import signal
from pathlib import Path

import pytest

from hubtune.errors import RecordError
from tests.end_to_end.worlds import TARGET, World, digests, untimed

RUN = ("--json", "run", "--push", "--run-dir", "run")


def end_at(world, line, number, *arguments):
    """Starts a command and sends it a signal once it prints `line` on stderr; returns its exit code and its stderr."""
    with world.start(*arguments, "--hub", world.hub) as process:
        shown = []
        for said in process.stderr:
            shown.append(said)
            if said.startswith(line):
                process.send_signal(number)
                break
        shown += process.stderr
        # A training that was under way says where it stopped; anything else ends without a document.
        out = process.stdout.read()
        assert out == "" or json.loads(out)["error"]["exit_code"] == 130
    assert any(said.startswith(line) for said in shown), "".join(shown)
    return process.returncode, "".join(shown)


@pytest.fixture(scope="module")
def interrupted(once, seeded):
    """A world whose run was ended by Ctrl-C while it trained, gone on with, killed while it evaluated, and finished."""

    def make(folder):
        world = seeded.copy(folder)
        world.forget_requests()
        code, shown = end_at(world, "Training …", signal.SIGINT, *RUN)
        (folder / "first.json").write_text(json.dumps([code, shown]))
        left = sorted(path.name for path in world.run_dir.iterdir())
        code, shown = end_at(world, "Held-out rows, base …", signal.SIGKILL, *RUN, "--resume")
        (folder / "second.json").write_text(json.dumps([code, left, [line["path"] for line in world.writes()]]))
        (folder / "training.json").write_bytes((world.run_dir / "training.json").read_bytes())
        done = world.done(*RUN, "--resume", "--hub", world.hub)
        (folder / "third.json").write_text(json.dumps([done.out, done.err]))

    return World(once("interrupted", make))


def test_ctrl_c_exits_with_130_and_says_how_to_go_on(interrupted):
    code, shown = json.loads((interrupted.root / "first.json").read_text())
    assert code == 130
    assert "Traceback" not in shown
    assert "--resume" in shown


def test_a_merge_that_is_stopped_leaves_nothing(released, tmp_path):
    world = released.copy(tmp_path / "world")
    (tmp_path / "temporary").mkdir()
    with world.start(
        *("merge", f"{TARGET}@v1.0.0", "merged", "--hub", world.hub), TMPDIR=str(tmp_path / "temporary")
    ) as process:
        for said in process.stderr:
            if said.startswith("Fetching"):
                process.send_signal(signal.SIGTERM)
                break
        shown = process.stderr.read()
    assert process.returncode == 143
    assert shown.splitlines()[-1] == "Stopped by SIGTERM."
    assert "Traceback" not in shown
    assert "--resume" not in shown
    assert not [path.name for path in world.work.iterdir() if "merged" in path.name]
    assert [*(tmp_path / "temporary").iterdir()] == []


# A row takes some milliseconds, so that there is work left when the first thousand are done.
SLOW = (
    "{% for a in range(99) %}{% for b in range(999) %}{% endfor %}{% endfor %}"
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.full_trial)])
def test_a_stop_while_processes_encode_rows_leaves_none_of_them_and_no_file(seeded, tmp_path, number):
    world = seeded.copy(tmp_path / "world")
    (tmp_path / "temporary").mkdir()
    turns = [{"role": "user", "content": "Oil?"}, {"role": "assistant", "content": "A virtue."}]
    row = json.dumps({"messages": turns}) + "\n"
    (world.work / "talks.jsonl").write_text(row * 8000)
    world.config(data__repo=None, data__path="talks.jsonl", data__template=None, data__chat_template=SLOW)
    cached = sorted((world.root / "home").rglob("*"))
    with world.start(
        *("data", "show", "-s", "rows.workers=2", "--hub", world.hub),
        TMPDIR=str(tmp_path / "temporary"),
        in_session_of_its_own=True,
    ) as process:
        shown = []
        for said in process.stderr:
            shown.append(said)
            if "%" in said and said.startswith("Reading"):
                encoding = processes_of(process.pid)
                process.send_signal(number)
                break
        shown += process.stderr
    # This one, two that encode, and the one of each that writes conversations.
    assert len(encoding) >= 5, "".join(shown)
    assert process.returncode == 128 + number, "".join(shown)
    assert "Traceback" not in "".join(shown)
    for pid in encoding:
        wait_for_end(pid)
    assert processes_of(process.pid) == []
    assert not [*(tmp_path / "temporary").iterdir()]
    left = {path for path in (world.root / "home").rglob("*") if path.is_file() and "hubtune" in path.parts}
    assert not left - set(cached)


def processes_of(session: int) -> list[int]:
    """The processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # The name, in brackets, may hold anything; the state, the parent, the group and the session follow it.
            state, _, _, of = stat.read_text().rpartition(")")[2].split()[:4]
            if int(of) == session and state != "Z":
                found.append(int(stat.parent.name))
    return found


def wait_for_end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        waited = os.pidfd_open(pid)
        ended, _, _ = select.select([waited], [], [], 60)
        os.close(waited)
        assert ended, f"process {pid} still runs"


def test_a_run_that_was_started_to_outlive_its_terminal_does_and_sigterm_ends_it(world, tmp_path):
    (tmp_path / "temporary").mkdir()
    with world.start(
        *("run", "--push", "--run-dir", "run", "--hub", world.hub),
        TMPDIR=str(tmp_path / "temporary"),
        by=("nohup",),
        in_session_of_its_own=True,
    ) as process:
        shown = []
        for said in process.stderr:
            shown.append(said)
            if said.startswith("Checking …"):
                process.send_signal(signal.SIGHUP)
            if said.startswith("Training …"):
                # Also while a training has handlers of its own.
                process.send_signal(signal.SIGHUP)
                process.send_signal(signal.SIGTERM)
                break
        shown += process.stderr
    assert process.returncode == 143, "".join(shown)
    assert "Training …\n" in shown
    assert "--resume" in shown[-1]
    assert processes_of(process.pid) == []
    # torch keeps a folder of the user's there.
    assert not [path for path in (tmp_path / "temporary").iterdir() if not path.name.startswith("torchinductor_")]
    assert not [path.name for path in world.run_dir.rglob(".*")]
    assert world.writes() == []


def test_ctrl_c_while_training_leaves_no_half_adapter(interrupted):
    _, left, writes = json.loads((interrupted.root / "second.json").read_text())
    # Whether a step was done, logged and saved before the signal came is open.
    assert [name for name in left if name not in ("events.jsonl", "checkpoints")] == [
        "config.yaml",
        "data.json",
        "pins.json",
        "written.json",
    ]
    assert writes == []


def test_a_killed_run_goes_on_with_the_finished_training(interrupted):
    code, *_ = json.loads((interrupted.root / "second.json").read_text())
    assert code == -signal.SIGKILL
    _, shown = json.loads((interrupted.root / "third.json").read_text())
    assert f"Resuming {interrupted.run_dir}" in shown
    assert "Training" not in shown
    assert (interrupted.root / "training.json").read_bytes() == (interrupted.run_dir / "training.json").read_bytes()


def test_an_interrupted_run_ends_with_the_numbers_of_an_uninterrupted_one(interrupted, released):
    one, other = (untimed(world.record("evaluation.json")) for world in (interrupted, released))
    assert one["measures"] == other["measures"]
    assert digests(interrupted.run_dir / "adapter") == digests(released.run_dir / "adapter")
    for name in ("first_loss", "final_loss", "steps", "tokens", "files"):
        assert interrupted.record("training.json")[name] == released.record("training.json")[name]


def test_an_interrupted_run_is_published_as_one_commit_with_its_tag(interrupted):
    out, _ = json.loads((interrupted.root / "third.json").read_text())
    paths = [line["path"] for line in interrupted.writes() if line["status"] < 400]
    assert sum("/commit/" in path for path in paths) == 1
    assert sum("/tag/" in path for path in paths) == 1
    release = json.loads(out)
    assert release["repo"] == TARGET
    assert release == interrupted.record("release.json")


def test_resuming_a_finished_run_changes_nothing(finished):
    # What each publication writes anew, and the digests of it.
    written = ("events.jsonl", "release.json", "written.json")
    before, record = finished.stored(), digests(finished.run_dir, leave_out=written)
    shown = finished.done(*RUN, "--resume", "--hub", finished.hub)
    assert shown.document["commit"] == finished.record("release.json")["commit"]
    assert finished.stored() == before
    assert digests(finished.run_dir, leave_out=written) == record


def test_resuming_with_another_training_config_is_refused(finished):
    shown = finished.hubtune(*RUN, "--resume", "-s", "train.epochs=7", "--hub", finished.hub)
    shown.refused(RecordError, str(finished.run_dir), "--run-dir")


def test_what_a_killed_hub_had_locked_can_be_written_by_the_next(finished):
    refs = finished.hub / "repos/models/lab/quotes-lora.git/refs"
    for left in ("heads/main.lock", "tags/v2.0.0.lock"):
        (refs / left).touch()
    release = finished.done("--json", "publish", "run", "--tag", "v2.0.0", "--hub", finished.hub).document
    assert (refs / "tags/v2.0.0").read_text().strip() == release["commit"]
