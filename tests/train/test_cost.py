"""A training's record says what it took; energy and CO2 are codecarbon's, without a network or a file."""

import os
import signal
import socket
from pathlib import Path

import pytest

from hubtune.errors import ConfigError, InterruptedTrainingError
from hubtune.records.rundir import RunDirectory
from hubtune.train import cost
from hubtune.train.cost import Spent, check_country
from tests.listener import Listener

WISHES = """[codecarbon]
save_to_file = true
save_to_api = true
output_methods = api,csv
emissions_endpoint = http://192.0.2.1/
electricitymaps_api_token = abc
co2_signal_api_token = abc
"""


def test_speed_operations_and_memory_are_counted_by_the_tokens_that_were_read(train_on, gpt2: Path):
    record = train_on(gpt2).record

    spent = record.cost
    frozen = record.total_parameters - record.trainable_parameters
    assert spent.operations == (4 * frozen + 6 * record.trainable_parameters) * record.read_tokens
    assert "Kaplan" in spent.operations_method
    assert spent.tokens_per_second > 0
    # Python with torch alone takes more, and no tiny model takes so much.
    assert 100e6 < spent.peak_memory < 100e9
    assert (spent.energy, spent.co2, spent.energy_estimated) == (None, None, None)
    assert spent.energy_method == "train.country is not set"


def test_energy_and_co2_are_estimates_that_say_so(
    train_on, gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whatever codecarbon's own configuration asks for, nothing is sent or written."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.codecarbon.config").write_text(WISHES)
    monkeypatch.chdir(tmp_path)
    asked: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: asked.append(address))
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    trained = train_on(gpt2, "train.country=FRA")

    spent = trained.record.cost
    assert 0 < spent.energy < 1
    # By the mix of the country's electricity, between that of hydropower and that of coal.
    assert 10 < spent.co2 / spent.energy < 1000
    assert spent.country == "FRA"
    assert spent.energy_method.startswith("codecarbon ")
    assert "memory estimated from its size" in spent.energy_method
    assert spent.energy_estimated is True
    assert asked == []
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file() and trained.run.path not in path.parents} == {
        tmp_path / "home"
    }
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_without_codecarbon_energy_is_not_assessed_and_the_training_goes_on(
    train_on, gpt2: Path, monkeypatch: pytest.MonkeyPatch
):
    found = cost.find_spec
    monkeypatch.setattr(cost, "find_spec", lambda name: None if name == "codecarbon" else found(name))

    trained = train_on(gpt2, "train.country=FRA")

    assert trained.record.cost.energy is None
    assert trained.record.cost.energy_method == 'codecarbon is not installed: pip install "hubtune[cost]"'
    assert [line for line in trained.listener.warned if "not assessed: codecarbon is not installed" in line]


def test_a_resumed_training_adds_to_what_it_has_spent(train_on, gpt2: Path, monkeypatch: pytest.MonkeyPatch):
    metered = [
        Spent(seconds=second, energy=second, co2=10 * second, method="m", estimated=True) for second in (1, 2, 4)
    ]
    monkeypatch.setattr(cost.EnergyMeter, "read", lambda *_: metered.pop(0))
    stop = Listener(lambda _: os.kill(os.getpid(), signal.SIGINT) if stop.steps["Training"][0] == 4 else None)

    with pytest.raises(InterruptedTrainingError) as stopped:
        train_on(gpt2, "train.epochs=3", "train.country=FRA", listener=stop)
    run = RunDirectory.open(Path(stopped.value.hint.split()[-2]))
    record = train_on(gpt2, run=run, resume=True).record.cost

    # The checkpoint of the stop has the first second; what the process took while it ended is lost with it.
    assert (record.energy, record.co2) == (5, 50)


def test_a_part_that_was_not_metered_leaves_the_whole_unassessed():
    metered = Spent(seconds=2, energy=1, co2=3, method="m", estimated=False)

    assert Spent(seconds=3, method="no meter").after(metered) == Spent(seconds=5, method="no meter")
    assert metered.after(Spent(seconds=3, method="no meter")) == Spent(seconds=5, method="no meter")
    assert metered.after(Spent()) == metered


def test_a_country_that_codecarbon_does_not_know_is_refused():
    assert check_country("FRA") == "France"
    with pytest.raises(ConfigError, match="has no data about the electricity of ZZZ"):
        check_country("ZZZ")
