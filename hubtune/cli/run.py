"""`hubtune run`: the whole job."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.options import config_argument, hub_option, locked_option, on_hub, set_option, target_options
from hubtune.cli.output import Output
from hubtune.config.load import load_config
from hubtune.config.schema import TuneConfig
from hubtune.config.target import TargetOptions
from hubtune.errors import ConfigError
from hubtune.files import file_errors
from hubtune.records.evaluation import EvaluationRecord, Measure
from hubtune.records.release import PlannedMetadata, PlanRecord, ReleaseRecord

if TYPE_CHECKING:
    from hubtune.pipeline.run import Outcome
    from hubtune.release.compare import ComparisonRecord


SERVE_PORT = 8931
_OF_ROWS = ("held-out", "train", "given", "earlier held-out")
_MARKS = {"added": "+", "removed": "-", "changed": "~"}


def measure_lines(record: EvaluationRecord) -> list[str]:
    """Returns one line a measure: base and tuned value, the change, and what they were taken on."""
    return [_measure_line(measure) for measure in record.measures]


def comparison_lines(record: "ComparisonRecord") -> list[str]:
    """Returns a table of both tuned models' values, and below it what each difference is worth."""
    shown = [
        (one.name, _or_none(one.a), _or_none(one.b), "none" if one.difference is None else f"{one.difference:+,.4g}")
        for one in record.measures
    ]
    titles = ("measure", "A", "B", "B - A")
    widths = [max(len(row[column]) for row in [titles, *shown]) for column in range(len(titles))]
    first, *others = widths
    table = [
        "  ".join([name.ljust(first), *(value.rjust(width) for value, width in zip(values, others, strict=True))])
        for name, *values in [titles, *shown]
    ]
    lines = [f"A: {record.a.named}", f"B: {record.b.named}", "", *table, ""]
    return [*lines, *(f"{one.name}: {one.verdict}, because {one.reason}" for one in record.measures)]


def outcome_lines(outcome: "Outcome", hub: Path | None) -> list[str]:
    """Returns the lines for a finished run; `hub` is the embedded Hub's folder where one was used."""
    lines = ["", *measure_lines(outcome.inputs.evaluation)]
    release = outcome.release
    if release is None:
        lines += ["", f"Run:     {outcome.run.path}", f"Card:    {outcome.run.card_file}"]
        lines += ["", f"Nothing was published. To publish this run: hubtune publish {_short(outcome.run.path)}"]
        return lines
    lines += ["", *release_lines(release), f"Card:    {outcome.run.card_file}", f"Run:     {outcome.run.path}"]
    if release.pull_request is not None:
        return lines
    if hub is not None:
        lines += [
            "",
            "The embedded Hub was stopped. To use the release, serve it again in one terminal",
            "",
            f"    hubtune hub serve {_short(hub)} --port {SERVE_PORT}",
            "",
            f"look at it in a browser at http://127.0.0.1:{SERVE_PORT}/{release.repo},",
            "and in another terminal, before Python starts, point the clients to it:",
            "",
            f"    export HF_ENDPOINT=http://127.0.0.1:{SERVE_PORT} HF_HUB_DISABLE_XET=1",
        ]
    return [*lines, "", "Load it in Python:", "", *outcome.snippet.rstrip().splitlines()]


def release_lines(record: ReleaseRecord) -> list[str]:
    """Returns the lines that say where a release is; of a pull request, what is left to do."""
    if record.pull_request is None:
        return [
            f"Repo:    {record.repo}",
            f"Tag:     {record.tag}",
            f"Commit:  {record.commit}",
            f"URL:     {record.url}",
        ]
    return [
        f"Repo:    {record.repo}",
        f"Commit:  {record.commit}",
        f"Pull request: {record.pull_request}",
        f"The tag {record.tag} was not created. After the merge, somebody with write access adds it to the commit",
        f"at the head of {record.branch}: hubtune release tag {record.repo} COMMIT {record.tag}",
    ]


def plan_lines(plan: PlanRecord) -> list[str]:
    """Returns the lines for what a release would do."""
    where = plan.repo if plan.exists else f"{plan.repo}, which would be created{' as private' if plan.private else ''}"
    lines = [
        f"Repo:    {where}",
        f"Branch:  {plan.branch}",
        f"Parent:  {plan.parent or 'the first commit of the new repository'}",
        f"Tag:     {plan.tag}{' (after the merge of the pull request)' if plan.pull_request else ''}",
        f"Message: {plan.message}",
        "",
        f"{len(plan.files)} files of {sum(file.size for file in plan.files):,} bytes:",
        *(f"  {file.change:9}  {file.size:>13,}  {file.sha256}  {file.path}" for file in plan.files),
        *(f"  deleted    {path}" for path in plan.delete),
        "",
        "The card's metadata:" if plan.metadata else "The card's metadata would not change.",
        *(f"  {_MARKS[change.change]} {change.key}: {_values(change)}" for change in plan.metadata),
        "",
    ]
    if plan.published is not None:
        return [*lines, f"This release is already published at {plan.published}: publishing would change nothing."]
    return [*lines, "Nothing was changed."]


def _values(change: PlannedMetadata) -> str:
    before, after = (json.dumps(value, ensure_ascii=False) for value in (change.before, change.after))
    return f"{before} -> {after}" if change.change == "changed" else after if change.change == "added" else before


def _measure_line(measure: Measure) -> str:
    took = "" if measure.seconds is None else f" ({measure.seconds:.1f} s)"
    why = "" if measure.status == "measured" or measure.detail is None else f"; {measure.detail}"
    if measure.tuned is None:
        return f"{measure.name}: {measure.status}{why}{took}"
    rows = f" {'row' if measure.n == 1 else 'rows'}" if measure.split in _OF_ROWS else ""
    on = f"on {measure.n:,} {measure.split}{rows}{why}{took}"
    if measure.base is None:
        return f"{measure.name}: tuned {_value(measure.tuned)} {on}"
    # A share of a gap that may have either sign, or of next to nothing, would say nothing.
    relative = measure.group == "quality" and measure.base > 0
    change = f" ({100 * (measure.tuned - measure.base) / measure.base:+.1f}%)" if relative else ""
    return f"{measure.name}: base {_value(measure.base)}, tuned {_value(measure.tuned)}{change} {on}"


def _or_none(value: float | None) -> str:
    return "none" if value is None else _value(value)


def _value(value: float) -> str:
    return f"{value:,.2f}" if abs(value) >= 1 or value == 0 else f"{value:.3g}"


def _short(path: Path) -> str:
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


# What `--push` alone means: the repository of the config.
_FROM_CONFIG = ""


@click.command(short_help="Run all stages of a config: pin, train, evaluate, publish.")
@config_argument
@click.option(
    "--push",
    metavar="[REPO]",
    is_flag=False,
    flag_value=_FROM_CONFIG,
    help="Publish to REPO; without REPO, to publish.repo.",
)
@target_options
@click.option(
    "--resume",
    is_flag=True,
    help="Resume the newest run of this config from its last stage or checkpoint.",
)
@locked_option
@click.option("--dry-run", is_flag=True, help="Check everything and print what a run would do; run nothing.")
@hub_option
@click.option(
    "--run-dir", type=click.Path(file_okay=False, path_type=Path), help="Run directory.  [default: runs/<time>]"
)
@set_option
@click.pass_obj
def run(
    output: Output,
    config: Path,
    push: str | None,
    target: TargetOptions,
    resume: bool,
    locked: bool,
    dry_run: bool,
    hub: Path | None,
    run_dir: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Run all stages of CONFIG: pin, train, evaluate and render the card. With --push, also publish."""
    settings = _settings(config, push, target, overrides)
    with on_hub(hub):
        from hubtune.pipeline.context import RunOptions

        options = RunOptions(
            publish=push is not None, propose=target.propose, resume=resume, locked=locked, run_dir=run_dir
        )
        if dry_run:
            from hubtune.cli.check import show_checks

            show_checks(output, settings, config, options, dry_run=True)
            return
        from hubtune.pipeline.run import run_job

        outcome = run_job(settings, config, options, output.progress)
        output.result(outcome.record, outcome_lines(outcome, hub))


def _settings(config: Path, push: str | None, target: TargetOptions, overrides: tuple[str, ...]) -> TuneConfig:
    if push and Path(push).is_file():
        raise ConfigError(
            f"--push took {push}, which is a file, for the repository.",
            hint=f"Put the config first: hubtune run {push} --push",
        )
    if target.propose and push is None:
        raise ConfigError("--create-pr is for a run that is published.", hint="Add --push, or leave --create-pr out.")
    target = replace(target, repo=push or None)
    settings = load_config(config, [*overrides, *target.overrides])
    target.require_fit(settings)
    if push is not None and settings.publish.repo is None:
        raise ConfigError(
            "--push was given, and there is no repository to publish to.",
            hint="Set `publish.repo` in the config, or name one: --push namespace/name",
        )
    return settings


@click.command(short_help="Try the whole job on an embedded Hub.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("hubtune-quickstart"),
    show_default=True,
    help="Folder for the embedded Hub, the config and the run.",
)
@click.pass_obj
def quickstart(output: Output, folder: Path) -> None:
    """Try the whole job with a real model and a small dataset, up to a tagged release on an embedded Hub."""
    with file_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with on_hub(folder):
        from hubtune.pipeline.quickstart import quickstart as run_quickstart

        outcome = run_quickstart(folder, output.progress)
        output.result(outcome.record, outcome_lines(outcome, folder))
