"""The lock is the team's word on what the inputs are; `--locked` takes nothing else."""

import json
from pathlib import Path

import pytest

from hubtune.config.load import parse_config
from hubtune.errors import LockError, RecordError
from hubtune.pin import lock_file, locked_pin, read_lock, require_lock, write_lock
from hubtune.records.base import PinSet
from tests.sample_runs import sample_pins

CONFIG = "base: {repo: org/base}\ndata: [{repo: org/sayings, text: quote}]\n"


def test_the_lock_lies_beside_the_config():
    assert lock_file(Path("jobs/tune.yaml")) == Path("jobs/hubtune.lock")


def test_a_written_lock_reads_back_equal(tmp_path: Path):
    write_lock(tmp_path / "hubtune.lock", sample_pins())

    assert read_lock(tmp_path / "hubtune.lock") == sample_pins()


def test_a_lock_of_more_inputs_than_a_config_may_name_is_not_read(tmp_path: Path):
    pins = sample_pins()
    write_lock(tmp_path / "hubtune.lock", pins.model_copy(update={"data": [pins.data[0]] * 3000}))

    with pytest.raises(RecordError) as caught:
        read_lock(tmp_path / "hubtune.lock")

    assert "data: the list has to have at most 500 items" in "\n".join(caught.value.details)


def test_no_lock_is_none(tmp_path: Path):
    assert read_lock(tmp_path / "hubtune.lock") is None


def test_a_lock_that_says_just_that_is_not_written_again(tmp_path: Path):
    path = tmp_path / "hubtune.lock"
    write_lock(path, sample_pins())
    path.chmod(0o600)

    write_lock(path, sample_pins())

    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"commit": "main"}, "base.commit"),
        ({"commit": "B" * 40}, "base.commit"),
        ({"commit": "b" * 39}, "base.commit"),
        ({"type": "space"}, "base.type"),
        ({"branch": "main"}, "base.branch"),
    ],
)
def test_a_lock_that_was_spoilt_by_hand_is_refused_with_the_key(tmp_path: Path, change: dict[str, str], named: str):
    document = json.loads(sample_pins().to_json())
    document["base"].update(change)
    (tmp_path / "hubtune.lock").write_text(json.dumps(document))

    with pytest.raises(RecordError) as caught:
        read_lock(tmp_path / "hubtune.lock")

    assert [line.partition(":")[0] for line in caught.value.details] == [named]


def test_a_merge_conflict_in_the_lock_is_refused(tmp_path: Path):
    (tmp_path / "hubtune.lock").write_text("<<<<<<< ours\n" + sample_pins().to_json())

    with pytest.raises(RecordError, match=r"hubtune\.lock"):
        read_lock(tmp_path / "hubtune.lock")


def test_a_lock_passes_just_while_it_covers_the_config(tmp_path: Path):
    config = parse_config(CONFIG)
    require_lock(sample_pins(), config, tmp_path / "hubtune.lock")

    moved = config.model_copy(update={"base": config.base.model_copy(update={"revision": "other"})})
    with pytest.raises(LockError):
        require_lock(sample_pins(), moved, tmp_path / "hubtune.lock")


def test_locked_without_lock_is_refused_with_the_command_that_writes_it(tmp_path: Path):
    with pytest.raises(LockError, match=r"--locked needs .*hubtune\.lock") as caught:
        require_lock(None, parse_config(CONFIG), tmp_path / "hubtune.lock")

    assert "hubtune pin" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("overrides", "faults"),
    [
        (
            ["base.revision=v2"],
            ["org/base at v2: not in the lock", "org/base at main: in the lock, not in the config"],
        ),
        (
            ["data[0].repo=org/other"],
            ["org/other at main: not in the lock", "org/sayings at main: in the lock, not in the config"],
        ),
        (
            ["data=[{repo: org/sayings, text: quote}, {repo: org/more, text: quote}]"],
            ["org/more at main: not in the lock"],
        ),
    ],
)
def test_every_difference_of_lock_and_config_is_named(tmp_path: Path, overrides: list[str], faults: list[str]):
    with pytest.raises(LockError, match="does not match") as caught:
        require_lock(sample_pins(), parse_config(CONFIG, overrides), tmp_path / "hubtune.lock")

    assert list(caught.value.details) == faults


def test_a_data_set_that_the_config_dropped_is_named(tmp_path: Path):
    extra = sample_pins().data[0].model_copy(update={"repo": "org/more"})
    lock = PinSet(base=sample_pins().base, data=[*sample_pins().data, extra])

    with pytest.raises(LockError) as caught:
        require_lock(lock, parse_config(CONFIG), tmp_path / "hubtune.lock")

    assert caught.value.details == ("org/more at main: in the lock, not in the config",)


def test_a_model_s_pin_does_not_stand_for_a_data_set_of_the_same_name():
    lock = sample_pins()
    config = parse_config("base: {repo: org/sayings}\ndata: [{repo: org/base, text: quote}]\n")

    assert locked_pin(lock, config.base) is None
    assert locked_pin(lock, config.data[0]) is None


def test_a_lock_for_a_model_and_data_set_of_swapped_names_does_not_cover_the_config(tmp_path: Path):
    config = parse_config("base: {repo: org/sayings}\ndata: [{repo: org/base, text: quote}]\n")

    with pytest.raises(LockError) as caught:
        require_lock(sample_pins(), config, tmp_path / "hubtune.lock")

    assert len(caught.value.details) >= 2


def test_the_case_of_an_id_makes_no_difference():
    config = parse_config("base: {repo: Org/Base}\ndata: [{repo: org/sayings, text: quote}]\n")

    assert locked_pin(sample_pins(), config.base) == sample_pins().base
