"""The queue of trials: each is run by one worker, and one whose worker is gone is run again."""

import multiprocessing
import os
import signal
import sqlite3
from pathlib import Path

import psycopg
import pytest
import yaml

from hubtune.errors import ConfigError, MissingExtraError, SweepError
from hubtune.records.base import Pin, PinSet
from hubtune.sweep.plan import Sweep, suggest
from hubtune.sweep.report import Report
from hubtune.sweep.storage import MOST_RETRIES, Place
from hubtune.sweep.study import Facts, Study

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PINS = PinSet(base=Pin(repo="org/base", type="model", requested="main", commit=COMMIT, license="mit"), data=[])


def write(folder: Path, **settings) -> Path:
    (folder / "hubtune.yaml").write_text("base: {repo: org/base}\ndata: [{repo: org/data}]\n")
    sweep = {"sampler": "grid", "parameters": {"train.lora.r": [4, 8, 16], "train.warmup": [0, 0.1]}, **settings}
    (folder / "sweep.yaml").write_text(yaml.safe_dump({"sweep": sweep}))
    return folder / "sweep.yaml"


def begin(path: Path, storage: str | None = None) -> tuple[Sweep, Study, Facts]:
    """Opens a sweep as a worker does, and makes its study if there is none."""
    sweep = Sweep.load(path, storage)
    study = Study(sweep.place, sweep.name)
    facts = Facts(id="0011aabb", sweep=Facts.settings(sweep.file.sweep), config=sweep.identity, pins=[PINS])
    made = not study.present and study.create(sweep.file.sweep, facts)
    facts = study.facts(sweep.file.sweep, sweep.identity)
    study.fill(sweep.file.sweep, made=made)
    return sweep, study, facts


def run_one(sweep: Sweep, study: Study, facts: Facts, folder: Path | None = None) -> int | None:
    """Runs the next trial, whose result is its rank r; returns its number, None if there is none."""
    with study.claim(sweep.file.sweep, folder or sweep.folder(facts)) as claimed:
        if claimed is None:
            return None
        values = suggest(claimed.trial, sweep.file.sweep)
        study.study.tell(claimed.trial, float(values["train.lora.r"]) + float(values.get("train.warmup", 0)))
        return claimed.trial.number


def work(path: Path, storage: str | None, folder: Path, done) -> None:
    opened = begin(path, storage)
    while (number := run_one(*opened, folder)) is not None:
        done.put(number)


def die_with_a_trial(path: Path, storage: str | None) -> None:
    sweep, study, facts = begin(path, storage)
    with study.claim(sweep.file.sweep, sweep.folder(facts)) as claimed:
        suggest(claimed.trial, sweep.file.sweep)
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(params=["sweep.db", "sweep.journal"])
def storage(request, tmp_path):
    return str(tmp_path / request.param)


def test_every_point_of_a_grid_is_run_once(tmp_path, storage):
    opened = begin(write(tmp_path), storage)
    while run_one(*opened) is not None:
        pass
    trials = Report(opened[0], opened[1], opened[2]).trials
    assert [trial.state for trial in trials] == ["complete"] * 6
    assert len({tuple(trial.values.items()) for trial in trials}) == 6
    assert sorted(trial.rank for trial in trials) == [1, 2, 3, 4, 5, 6]
    assert Report(*opened).best.values == {"train.lora.r": 4, "train.warmup": 0}


def test_the_digest_of_a_study_is_the_same_in_any_storage_and_that_of_its_results(tmp_path):
    digests = []
    for name in ("one.db", "two.journal"):
        opened = begin(write(tmp_path), str(tmp_path / name))
        digests.append(Report(*opened).digest)
        while run_one(*opened) is not None:
            pass
        digests.append(Report(*opened).digest)
    assert digests[:2] == digests[2:]
    assert digests[0] != digests[1]


def test_two_workers_share_the_trials_and_none_is_run_twice(tmp_path, storage):
    share_among_two_workers(tmp_path, storage)


def test_workers_of_several_machines_share_a_postgresql_database(tmp_path, postgres):
    path = share_among_two_workers(tmp_path, postgres)
    with pytest.raises(SweepError, match="another sweep"):
        begin(write(tmp_path, seed=7), postgres)
    # Killed: on this machine its lock shows it, on another the heartbeat that stops.
    (tmp_path / "other").mkdir()
    path = write(tmp_path / "other", sampler="random", trials=2)
    path.write_text(f"name: other\n{path.read_text()}")
    process = multiprocessing.get_context("spawn").Process(target=die_with_a_trial, args=(path, postgres))
    process.start()
    process.join(60)
    opened = begin(path, postgres)
    study = opened[1]
    assert study.reclaim(tmp_path / "of-another-machine") == []
    with psycopg.connect(postgres) as database:
        database.execute("update trial_heartbeats set heartbeat = heartbeat - interval '1 hour'")
    assert study.reclaim(tmp_path / "of-another-machine") == [0]
    while run_one(*opened) is not None:
        pass
    assert [trial.state for trial in Report(*opened).trials] == ["cut off", "complete", "complete"]


def share_among_two_workers(tmp_path, storage):
    path = write(tmp_path, parameters={"train.lora.r": list(range(1, 25))})
    context = multiprocessing.get_context("spawn")
    done = context.Queue()
    # Each with a folder of its own, as on two machines: the storage alone keeps them apart.
    workers = [context.Process(target=work, args=(path, storage, tmp_path / each, done)) for each in "ab"]
    for worker in workers:
        worker.start()
    numbers = [done.get(timeout=60) for _ in range(24)]
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert sorted(numbers) == list(range(24))
    assert [trial.state for trial in Report(*begin(path, storage)).trials] == ["complete"] * 24
    return path


def test_a_trial_whose_worker_was_killed_is_run_again_with_the_same_values(tmp_path, storage):
    path = write(tmp_path)
    process = multiprocessing.get_context("spawn").Process(target=die_with_a_trial, args=(path, storage))
    process.start()
    process.join(60)
    opened = sweep, study, facts = begin(path, storage)
    assert [trial.number for trial in study.running()] == [0]
    assert study.reclaim(sweep.folder(facts)) == [0]
    assert study.reclaim(sweep.folder(facts)) == []
    while run_one(*opened) is not None:
        pass
    trials = Report(*opened).trials
    assert [trial.state for trial in trials] == ["cut off", *["complete"] * 6]
    assert (trials[0].again, trials[6].values) == (6, trials[0].values)
    assert study.wait(sweep.folder(facts)) is False


def test_a_trial_that_a_worker_left_without_a_word_is_run_again(tmp_path, storage):
    sweep, study, facts = begin(write(tmp_path), storage)
    with study.claim(sweep.file.sweep, sweep.folder(facts)):
        pass
    assert study.reclaim(sweep.folder(facts)) == [0]


def test_a_trial_that_is_cut_off_again_and_again_is_left_out(tmp_path):
    opened = sweep, study, facts = begin(write(tmp_path, parameters={"train.lora.r": [4]}))
    for _ in range(MOST_RETRIES + 1):
        with study.claim(sweep.file.sweep, sweep.folder(facts)) as claimed:
            study.requeue(claimed.trial)
    assert run_one(*opened) is None
    last = Report(*opened).trials[-1]
    assert last.state == "failed"
    assert "cut off 4 times" in last.detail
    assert Report(*opened).best is None


def test_a_trial_that_another_worker_runs_is_left_to_it(tmp_path, storage):
    sweep, study, facts = begin(write(tmp_path), storage)
    with study.claim(sweep.file.sweep, sweep.folder(facts)) as claimed:
        other = begin(tmp_path / "sweep.yaml", storage)
        assert other[1].reclaim(sweep.folder(facts)) == []
        assert run_one(*other) == 1
        assert claimed.trial.number == 0


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_what_a_sampler_draws_follows_from_the_seed(tmp_path, sampler):
    parameters = {
        "train.learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
        "train.lora.r": {"low": 4, "high": 64},
    }

    def drawn(storage, seed=42):
        path = write(tmp_path, sampler=sampler, trials=4, seed=seed, parameters=parameters)
        sweep, study, facts = begin(path, str(tmp_path / storage))
        while True:
            with study.claim(sweep.file.sweep, sweep.folder(facts)) as claimed:
                if claimed is None:
                    break
                values = suggest(claimed.trial, sweep.file.sweep)
                assert 1e-5 <= values["train.learning_rate"] <= 1e-2
                assert isinstance(values["train.lora.r"], int)
                study.study.tell(claimed.trial, values["train.learning_rate"])
        return [trial.values for trial in Report(sweep, study, facts).trials]

    one, other = drawn("one.db"), drawn("other.db")
    assert one == other
    assert len({tuple(values.items()) for values in one}) == 4
    assert drawn("third.db", seed=43) != one


def test_a_sweep_can_be_made_longer_and_not_shorter(tmp_path):
    opened = begin(write(tmp_path, sampler="random", trials=2))
    assert [run_one(*opened), run_one(*opened), run_one(*opened)] == [0, 1, None]
    opened = begin(write(tmp_path, sampler="random", trials=3))
    assert [run_one(*opened), run_one(*opened)] == [2, None]
    with pytest.raises(ConfigError, match="3 trials already"):
        begin(write(tmp_path, sampler="random", trials=2))


@pytest.mark.parametrize(
    ("changed", "named"), [({"seed": 7}, "sweep.seed"), ({"parameters": {"train.lora.r": [4]}}, "sweep.parameters")]
)
def test_a_storage_of_another_sweep_is_refused(tmp_path, storage, changed, named):
    begin(write(tmp_path), storage)
    with pytest.raises(SweepError, match="another sweep") as caught:
        begin(write(tmp_path, **changed), storage)
    assert named in caught.value.message


def test_a_storage_of_the_same_sweep_over_another_config_is_refused(tmp_path, storage):
    path = write(tmp_path)
    begin(path, storage)
    (tmp_path / "hubtune.yaml").write_text("base: {repo: org/base}\ndata: [{repo: org/data}]\ntrain: {epochs: 7}\n")
    with pytest.raises(SweepError, match="the config's training settings differs"):
        begin(path, storage)


def test_a_storage_of_another_version_is_refused(tmp_path, storage):
    path = write(tmp_path)
    _, study, facts = begin(path, storage)
    study.study.set_user_attr("hubtune", {**facts.model_dump(mode="json"), "format": 2})
    with pytest.raises(SweepError, match="another version of hubtune"):
        begin(path, storage)


def test_a_study_of_another_program_is_refused(tmp_path, storage):
    import optuna

    path = write(tmp_path)
    study = Study(Sweep.load(path, storage).place, "sweep")
    made = optuna.create_study(study_name="sweep", storage=study.storage)
    made.add_trial(optuna.create_trial(value=1.0))
    with pytest.raises(SweepError, match="another program"):
        begin(path, storage)


def test_a_database_of_another_version_of_optuna_is_refused(tmp_path):
    begin(write(tmp_path))
    with sqlite3.connect(tmp_path / "sweep.db") as database:
        database.execute("update alembic_version set version_num = 'v9.9.9'")
    with pytest.raises(SweepError, match="not a storage that this version of Optuna can use"):
        begin(tmp_path / "sweep.yaml")


@pytest.mark.parametrize("name", ["sweep.db", "sweep.journal"])
def test_a_file_that_is_no_storage_is_refused(tmp_path, name):
    (tmp_path / name).write_text("This is no database.\n" * 100)
    with pytest.raises(SweepError, match=name):
        begin(write(tmp_path), str(tmp_path / name))


@pytest.mark.parametrize("url", ["nothere://host/trials", "postgresql://"])
def test_an_address_of_no_database_is_refused(tmp_path, url):
    with pytest.raises((ConfigError, SweepError)) as caught:
        Study(Place.of(url, tmp_path), "sweep")
    assert caught.value.hint


def test_a_database_whose_driver_is_missing_says_so(tmp_path):
    with pytest.raises(MissingExtraError, match="driver"):
        Study(Place.of("mysql://me@host/trials", tmp_path), "sweep")


def test_a_server_that_does_not_answer_is_one_error(tmp_path):
    place = Place.of("postgresql://nobody@127.0.0.1:9/trials", tmp_path)
    with pytest.raises(SweepError, match="cannot be used") as caught:
        Study(place, "sweep")
    assert "127.0.0.1" in caught.value.message
