"""Trackers and the meter of energy are looked at before anything is fetched or trained."""

from pathlib import Path

import pytest

from hubtune.config.load import load_config
from hubtune.pipeline import tracking
from hubtune.pipeline.check import CheckFinding, check_run
from hubtune.pipeline.context import RunOptions
from hubtune.train import cost


@pytest.fixture
def finding(tmp_path: Path, served, listener):
    def found(name: str, train: str) -> CheckFinding:
        file = tmp_path / "hubtune.yaml"
        file.write_text(f"base: {{repo: a/b}}\ndata: [{{repo: a/c, text: t}}]\ntrain: {train}\n")
        checks = check_run(load_config(file), file, RunOptions(run_dir=tmp_path), listener)
        (finding,) = [finding for finding in checks.findings if finding.check == name]
        return finding

    return found


def _hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    for module in (tracking, cost):
        found = module.find_spec
        monkeypatch.setattr(module, "find_spec", lambda name, found=found: None if name in packages else found(name))


def test_trackers_that_are_installed_are_named(finding):
    seen = finding("trackers", "{report_to: [trackio, tensorboard]}")

    assert (seen.status, seen.detail) == ("ok", "trackio, tensorboard can be reported to")


def test_every_tracker_that_is_missing_is_named_with_how_to_install_it(finding, monkeypatch: pytest.MonkeyPatch):
    _hide(monkeypatch, "trackio", "wandb")

    seen = finding("trackers", "{report_to: [trackio, tensorboard, wandb]}")

    assert seen.status == "error"
    assert "not installed: trackio, wandb." in seen.detail
    assert 'pip install "hubtune[track]"; pip install wandb' in seen.detail


def test_the_country_whose_electricity_is_used_is_named(finding):
    seen = finding("energy", "{country: FRA}")

    assert (seen.status, seen.detail) == ("ok", "metered, with the electricity of France")


def test_a_country_without_known_electricity_is_a_fault(finding):
    seen = finding("energy", "{country: ZZZ}")

    assert seen.status == "error"
    assert "ZZZ" in seen.detail


def test_without_codecarbon_the_check_warns_that_energy_is_not_assessed(finding, monkeypatch: pytest.MonkeyPatch):
    _hide(monkeypatch, "codecarbon")

    seen = finding("energy", "{country: FRA}")

    assert seen.status == "warning"
    assert 'pip install "hubtune[cost]"' in seen.detail
