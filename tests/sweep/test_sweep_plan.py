"""A sweep file is checked against its config before anything runs, and each fault is one clear error."""

from pathlib import Path

import pytest
import yaml

from hubtune.config.sweep import RangeConfig
from hubtune.errors import ConfigError
from hubtune.sweep.plan import Sweep

CONFIG = """
base: {repo: org/base}
data: [{repo: org/data}]
evaluate: {metrics: [perplexity, rouge]}
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def load(tmp_path):
    """Loads a sweep over the usual config with the given settings."""

    def load(parameters=None, **settings):
        (tmp_path / "hubtune.yaml").write_text(CONFIG)
        sweep = {"parameters": {"train.lora.r": [4, 8]} if parameters is None else parameters, **settings}
        (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({"sweep": sweep}))
        return Sweep.load(tmp_path / "sweep.yaml")

    return load


@pytest.mark.parametrize(
    ("parameters", "settings", "words"),
    [
        ({"train.learning_rat": [1, 2]}, {}, ["train.learning_rat", "did you mean", "train.learning_rate"]),
        ({"data[0].templat": ["{a}"]}, {}, ["data[0].templat", "not a field"]),
        ({"base.repo": ["org/a", "org/b"]}, {}, ["base.repo", "'org/a'", "without a pin", "@COMMIT"]),
        ({"data[0].revision": ["main", "dev"]}, {}, ["data[0].revision", "'main'", "commit"]),
        ({}, {}, ["nothing to sweep over"]),
        ({"train.lora.r": []}, {"sampler": "grid"}, ["train.lora.r", "empty list"]),
        ({"train.lora.r": [4, 4]}, {}, ["lists 4 twice"]),
        ({"train.lora.r": 4}, {}, ["train.lora.r", "a list of values, or a range"]),
        ({"train.lora.r": {"low": 4, "high": 4}}, {}, ["low (4)", "high (4)"]),
        ({"train.lora.r": {"low": 0, "high": 4, "log": True}}, {}, ["low above 0"]),
        ({"train.lora.r": {"low": 1, "hihg": 4}}, {}, ["hihg", "did you mean `high`"]),
        ({"train.lora.r": {"low": 4, "high": 64}}, {"sampler": "grid"}, ["train.lora.r", "grid", "step"]),
        ({"train.lora.r": ["few", "many"]}, {}, ["train.lora.r", "no value that hubtune.yaml takes"]),
        (None, {"sampler": "gird"}, ["sampler", "'grid'"]),
        (None, {"metric": "bleu"}, ["bleu", "hubtune.yaml does not measure"]),
        (None, {"metric": "elegance"}, ["elegance", "does not measure", "perplexity, rouge"]),
        (None, {"metric": "perplexity", "pruning": "median"}, ["pruning", "perplexity"]),
        (None, {"direction": "maximize"}, ["held-out loss", "minimize"]),
        (None, {"trails": 3}, ["trails", "did you mean `trials`"]),
    ],
)
def test_a_sweep_that_cannot_run_is_one_error_that_names_the_fault(load, parameters, settings, words):
    with pytest.raises(ConfigError) as caught:
        load(parameters, **settings)
    said = "\n".join([caught.value.message, *caught.value.details, str(caught.value.hint)])
    assert [word for word in words if word not in said] == []
    assert caught.value.hint


def test_a_config_that_a_sweep_chose_is_not_swept_as_it_is(load, tmp_path):
    load()
    chosen = {"field": "train.lora.r", "tried": "4, 8", "chosen": "8"}
    origin = {
        "study": "ab" * 32,
        "sampler": "grid",
        "seed": 1,
        "trials": 2,
        "metric": "perplexity",
        "rank": 1,
        "value": 2,
    }
    config = yaml.safe_load(CONFIG) | {"train": {"lora": {"r": 8}}}
    config["sweep"] = origin | {"direction": "minimize", "rows": "held-out", "fields": [chosen]}
    (tmp_path / "hubtune.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigError, match="itself chosen by a sweep"):
        Sweep.load(tmp_path / "sweep.yaml")


def test_a_missing_sweep_file_is_named_with_an_example_of_one(tmp_path):
    with pytest.raises(ConfigError, match="no sweep file") as caught:
        Sweep.load(tmp_path / "sweep.yaml")
    assert "parameters" in caught.value.hint


def test_a_grid_has_every_combination_and_as_many_trials_unless_fewer_are_asked_for(load):
    grid = {"train.lora.r": {"low": 4, "high": 12, "step": 4}, "train.warmup": [0, 0.1]}
    sweep = load(grid, sampler="grid").file.sweep
    assert sweep.count == 6
    assert len({tuple(point.items()) for point in sweep.points}) == 6
    assert load(grid, sampler="grid", trials=4).file.sweep.count == 4
    assert load(grid, sampler="grid", trials=9).file.sweep.count == 6
    assert load(grid, sampler="random").file.sweep.count == 20


def test_a_range_lists_its_points_without_rounding_errors():
    assert RangeConfig(low=0.1, high=0.3, step=0.1).points == [0.1, 0.2, 0.3]
    assert RangeConfig(low=4, high=10, step=4).points == [4, 8]


def test_numbers_that_yaml_reads_as_text_are_numbers(load):
    assert load({"train.learning_rate": ["1e-4", 0.01]}).file.sweep.parameters["train.learning_rate"] == [1e-4, 0.01]


def test_a_pinned_repository_is_a_repository_and_its_revision(load):
    sweep = load({"base.repo": [f"org/a@{COMMIT}", f"org/b@{COMMIT[::-1]}"]})
    base = sweep.config({"base.repo": f"org/b@{COMMIT[::-1]}"}).base
    assert (base.repo, base.revision) == ("org/b", COMMIT[::-1])
    assert [config.base.repo for config in sweep.inputs] == ["org/base", "org/a", "org/b"]


def test_values_may_be_whole_sections(load):
    sweep = load({"train.lora": [{"r": 4, "alpha": 8}, {"r": 8, "alpha": 16}]})
    assert sweep.config({"train.lora": {"r": 8, "alpha": 16}}).train.lora.alpha == 16


def test_a_trial_measures_what_decides_and_the_tuned_config_all_that_was_asked_for(load):
    sweep = load(metric="rougeL", direction="maximize")
    assert sweep.config({"train.lora.r": 4}).evaluate.metrics == ["rouge"]
    assert sweep.tuned({"train.lora.r": 4}).evaluate.metrics == ["perplexity", "rouge"]


@pytest.mark.parametrize(
    ("metric", "asked", "measured"),
    [
        ("accuracy", None, ["classification"]),
        ("ended", None, ["endings"]),
        ("counterfactual_gap_gender", None, ["counterfactual_gap"]),
        ("chrf", "all", ["chrf"]),
        ("held_out_loss", [], ["perplexity"]),
    ],
)
def test_the_metric_of_a_measure_is_found(load, tmp_path, metric, asked, measured):
    load()
    config = {"base": {"repo": "org/base"}, "data": [{"repo": "org/data"}]}
    if asked is not None:
        config["evaluate"] = {"metrics": asked or measured}
    (tmp_path / "hubtune.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "sweep.yaml").write_text(
        yaml.safe_dump({"sweep": {"metric": metric, "parameters": {"train.lora.r": [4]}}})
    )
    assert Sweep.load(tmp_path / "sweep.yaml").config({"train.lora.r": 4}).evaluate.metrics == measured


def test_a_storage_is_a_file_beside_the_sweep_unless_it_is_said_otherwise(load, tmp_path):
    assert load().place.file == tmp_path / "sweep.db"
    given = Sweep.load(tmp_path / "sweep.yaml", "postgresql://me@host/trials").place
    assert (given.url, given.file) == ("postgresql+psycopg://me@host/trials", None)
    assert Sweep.load(tmp_path / "sweep.yaml", str(tmp_path / "a.journal")).place.url is None


def test_a_password_in_the_url_is_refused_and_not_repeated(load, tmp_path):
    load()
    with pytest.raises(ConfigError, match="password") as caught:
        Sweep.load(tmp_path / "sweep.yaml", "postgresql://me:hunter2@host/trials")
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"
    assert "PGPASSWORD" in caught.value.hint


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).parents[2].glob("examples/*/sweep.yaml")), ids=lambda p: p.parent.name
)
def test_an_example_sweep_validates(path):
    assert Sweep.load(path).file.sweep.count == 27
