"""Metrics are found by name, hubtune's own and a plugin's; each is timed, and none keeps the others from measuring."""

import re
from pathlib import Path

import pytest

from hubtune.config.evaluation import BUILT_IN as BUILT_IN_NAMES
from hubtune.config.evaluation import DEFAULT, known_metrics
from hubtune.config.load import parse_config, read_dumped
from hubtune.errors import ConfigError
from hubtune.evaluate import measurement
from hubtune.evaluate.measurement import find_metrics, run_metrics

MINIMAL = "base: {repo: a/b}\ndata: [{repo: c/d, text: t}]\nevaluate: {metrics: [%s]}\n"


def test_the_config_knows_just_the_metrics_that_there_are():
    assert [metric.name for metric in measurement.BUILT_IN] == list(BUILT_IN_NAMES)
    assert set(DEFAULT) <= set(BUILT_IN_NAMES)


def test_an_unknown_metric_is_refused_with_a_list_of_those_that_exist(plugin: Path):
    with pytest.raises(ConfigError) as caught:
        parse_config(MINIMAL % "perplexity, perplexitty, brevity")

    (detail,) = caught.value.details
    assert detail.startswith("evaluate.metrics[1]: there is no metric 'perplexitty'; did you mean `perplexity`?")
    assert "bits_per_byte" in detail
    assert "brevity" in detail


def test_a_config_that_was_used_is_read_without_the_plugin():
    assert read_dumped(MINIMAL % "brevity", "a release").evaluate.metrics == ["brevity"]
    with pytest.raises(ConfigError, match="not installed"):
        find_metrics(["brevity"])


def test_all_metrics_are_hubtune_s_own_and_the_plugin_s(plugin: Path):
    names = [metric.name for metric in find_metrics("all")]

    assert names == known_metrics()
    assert names == [*BUILT_IN_NAMES, "brevity", "broken", "copy", "lost", "no_metric", "odd"]


def test_a_plugin_cannot_take_the_name_of_a_built_in_metric(plugin: Path):
    (metric,) = find_metrics(["perplexity"])

    assert metric in measurement.BUILT_IN


def test_a_plugin_measures_beside_the_others(plugin: Path, bench):
    found = list(run_metrics(bench, find_metrics(["perplexity", "brevity"]), by_name=True))

    assert [measure.name for measure in found] == ["perplexity", "brevity"]
    mean = sum(len(row.text) for row in bench.held_out) / len(bench.held_out)
    assert (found[1].status, found[1].base, found[1].tuned) == ("measured", pytest.approx(mean), pytest.approx(mean))
    assert all(measure.seconds is not None for measure in found)


def test_whatever_fails_is_recorded_in_one_line_and_the_rest_goes_on(plugin: Path, bench, listener):
    names = ["broken", "lost", "no_metric", "odd", "brevity", "copy", "bits_per_byte"]
    found = {measure.name: measure for measure in run_metrics(bench, find_metrics(names), by_name=True)}

    details = {name: measure.detail for name, measure in found.items() if measure.status == "failed"}
    assert details == {
        "broken": "RuntimeError: no [path] for [token] of [EMAIL]",
        "lost": "ModuleNotFoundError: No module named 'bench_plugin.lost'; 'bench_plugin' is not a package",
        "no_metric": "TypeError: bench_plugin:NoMetric is not a metric: it has no method `measure`",
        "odd": "its measure odd holds a value that is no number",
        "copy": "it gave a measure brevity, and so did brevity",
    }
    assert (found["brevity"].status, found["bits_per_byte"].status) == ("measured", "measured")
    assert all(measure.base is measure.tuned is None for measure in found.values() if measure.status == "failed")
    assert re.search(r"metric broken failed", " ".join(bench.progress.warned))


def test_a_metric_that_does_not_fit_is_told_of_where_it_was_asked_for(bench):
    bench.classes = ["sad", "glad"]
    metrics = find_metrics(["perplexity"])

    (named,) = run_metrics(bench, metrics, by_name=True)
    assert (named.status, named.base, named.tuned) == ("not assessed", None, None)
    assert "generates no text" in str(named.detail)
    assert list(run_metrics(bench, metrics, by_name=False)) == []


def test_the_metric_of_the_documentation_measures(bench):
    page = (Path(__file__).parents[2] / "docs/evaluation.md").read_text(encoding="utf-8")
    (program,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class Brevity" in block)
    names: dict[str, type] = {}
    exec(program, names)

    (measure,) = run_metrics(bench, [names["Brevity"]()], by_name=True)

    assert (measure.name, measure.status, measure.n) == ("brevity", "measured", len(bench.begun.rows))
