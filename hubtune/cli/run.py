"""`hubtune run`, the whole job, and commands for its stages: check, pin, train, publish."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli import options as shared
from hubtune.cli.output import Output
from hubtune.config.load import TargetOptions, load_config
from hubtune.config.schema import TuneConfig
from hubtune.errors import ConfigError
from hubtune.files import file_errors
from hubtune.records.release import PlannedMetadata, PlanRecord, ReleaseRecord
from hubtune.records.results import EvaluationRecord, Measure

if TYPE_CHECKING:
    from hubtune.pipeline.context import RunOptions
    from hubtune.pipeline.launch import Launcher
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
    """Returns the lines for a finished run; `hub` is the embedded Hub's folder if one was used."""
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
@shared.config_argument
@click.option(
    "--push",
    metavar="[REPO]",
    is_flag=False,
    flag_value=_FROM_CONFIG,
    help="Publish to REPO; without REPO, to publish.repo.",
)
@shared.target_options
@click.option(
    "--resume",
    is_flag=True,
    help="Resume the newest run of this config from its last stage or checkpoint.",
)
@shared.locked_option
@click.option("--dry-run", is_flag=True, help="Check everything and print what a run would do; run nothing.")
@shared.hub_option
@click.option(
    "--run-dir", type=click.Path(file_okay=False, path_type=Path), help="Run directory.  [default: runs/<time>]"
)
@shared.launch_option
@shared.set_option
@shared.remote_options
@click.pass_obj
def run(
    output: Output,
    config: Path,
    push: str | None,
    target: TargetOptions,
    remote: shared.RemoteChoice,
    resume: bool,
    locked: bool,
    dry_run: bool,
    hub: Path | None,
    run_dir: Path | None,
    launch: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Run all stages of CONFIG: pin, train, evaluate and render the card. With --push, also publish."""
    settings = _settings(config, push, target, overrides)
    remote.require_sense(hub)
    with shared.on_hub(hub):
        from hubtune.pipeline.context import RunOptions

        options = RunOptions(
            publish=push is not None,
            propose=target.propose,
            resume=resume,
            locked=locked,
            run_dir=run_dir,
            # A job has the launcher that it names.
            launcher=chosen_launcher(launch if remote.flavor is None else None),
            elsewhere=remote.flavor is not None,
        )
        if remote.flavor is not None:
            from hubtune.pipeline.remote import RemoteOptions, check_remote, run_remote

            asked = RemoteOptions(remote.flavor, remote.timeout, remote.wheel, remote.secrets, launch)
            if not dry_run:
                outcome = run_remote(settings, config, options, asked, output.progress)
                output.result(outcome.record, outcome_lines(outcome, hub))
                return
            check_remote(settings, asked)
        if dry_run:
            show_checks(output, settings, config, options, dry_run=True)
            return
        from hubtune.pipeline.run import run_job

        outcome = run_job(settings, config, options, output.progress)
        output.result(outcome.record, outcome_lines(outcome, hub))


def chosen_launcher(command: str | None) -> "Launcher | None":
    """Returns the launcher that `--launch` names; None without the option.

    Raises:
        ConfigError: There is no such program, or a launcher started this command.
    """
    from hubtune.pipeline.launch import Launcher, refuse_launched

    refuse_launched()
    return None if command is None else Launcher.parse(command)


@click.command(hidden=True)
@click.argument("repo")
@click.argument("commit")
@click.pass_obj
def job(output: Output, repo: str, commit: str) -> None:
    """In a job of Hugging Face Jobs, do the run that `hubtune run --remote` requested at COMMIT of REPO."""
    with shared.on_hub(None):
        from hubtune.pipeline.remote_job import do_request

        output.result(do_request(repo, commit, output.progress), [f"The run was put onto {repo}, to be fetched."])


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
            "--push was given, but there is no repository to publish to.",
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
    with shared.on_hub(folder):
        from hubtune.pipeline.run import quickstart as run_quickstart

        outcome = run_quickstart(folder, output.progress)
        output.result(outcome.record, outcome_lines(outcome, folder))


@click.command(short_help="Train again in a run directory.")
@shared.run_argument
@click.option("--resume", is_flag=True, help="Resume from the newest complete checkpoint of the run.")
@shared.launch_option
@shared.launched_option
@click.pass_obj
def train(output: Output, run: Path, resume: bool, launch: str | None, launched: Path | None) -> None:
    """Train again in the run directory RUN, with its config and pins.

    Without --resume, training starts from the beginning and earlier checkpoints are deleted.
    """
    if launched is not None:
        from hubtune.pipeline.launched import train_share, work

        work(run, launched, partial(train_share, resume=resume))
        return
    from hubtune.pipeline.context import RunContext
    from hubtune.pipeline.stages import resume_train, run_train

    launcher = chosen_launcher(launch)
    record = (resume_train if resume else run_train)(RunContext.open(run, output.progress), launcher=launcher)
    output.result(
        record,
        [
            f"Loss: first {record.first_loss:.3f}, final {record.final_loss:.3f} in {record.steps} steps",
            f"Next: hubtune evaluate {run}",
        ],
    )


@click.command(short_help="Publish a run as one tagged commit.")
@shared.run_argument
@click.option("--push", "repo", metavar="REPO", help="Target repository; overrides publish.repo.")
@shared.target_options
@click.option(
    "--counterpart",
    is_flag=True,
    help="Publish the other artifact to publish.counterpart: merged weights of an adapter, or the reverse.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be uploaded, changed and deleted; change nothing.")
@shared.hub_option
@click.pass_obj
def publish(output: Output, run: Path, target: TargetOptions, dry_run: bool, hub: Path | None) -> None:
    """Publish the run directory RUN: push one commit, read it back, then tag it.

    Publishing the same run again changes nothing.
    """
    with shared.on_hub(hub):
        from hubtune.pipeline.context import RunContext

        context = RunContext.open(run, output.progress)
        if dry_run:
            from hubtune.pipeline.planning import plan_run

            plan = plan_run(context, target)
            output.result(plan, plan_lines(plan))
            return
        from hubtune.pipeline.stages import run_publish

        record = run_publish(context, target)
        output.result(record, release_lines(record))


_CHECK_MARKS = {"ok": "ok     ", "warning": "warning", "error": "ERROR  "}


@click.command(short_help="Check a config, its inputs and its target before training.")
@shared.config_argument
@shared.locked_option
@shared.hub_option
@shared.set_option
@click.pass_obj
def check(output: Output, config: Path, locked: bool, hub: Path | None, overrides: tuple[str, ...]) -> None:
    """Check CONFIG, access to its inputs, licenses, the release target and disk space, without training."""
    settings = load_config(config, overrides)
    with shared.on_hub(hub):
        from hubtune.pipeline.context import RunOptions

        options = RunOptions(publish=settings.publish.repo is not None, locked=locked)
        show_checks(output, settings, config, options)


def show_checks(
    output: Output, settings: TuneConfig, config: Path, options: "RunOptions", *, dry_run: bool = False
) -> None:
    """Prints every finding, then raises what was wrong, if anything was; the config's target only if it publishes."""
    from hubtune.pipeline.check import check_run

    checks = check_run(settings, config, options, output.progress)
    lines = [f"{_CHECK_MARKS[finding.status]}  {finding.check}: {finding.detail}" for finding in checks.findings]
    if dry_run and not checks.failures:
        verb = "propose" if options.propose else "publish"
        release = f", {verb} to {settings.publish.repo} as {settings.publish.tag}" if options.publish else ""
        lines += [
            "",
            f"A run would download the inputs, train, evaluate, render the card{release}. Nothing was written.",
        ]
    output.result(checks.report, lines)
    if output.as_json and checks.failures:
        # The report is the one document; it holds the faults.
        raise click.exceptions.Exit(checks.exit_code)
    checks.require_ok()


@click.command(short_help="Pin the inputs to commits in hubtune.lock.")
@shared.config_argument
@click.option("--upgrade", is_flag=True, help="Resolve every revision again, including those in the lock.")
@shared.hub_option
@shared.set_option
@click.pass_obj
def pin(output: Output, config: Path, upgrade: bool, hub: Path | None, overrides: tuple[str, ...]) -> None:
    """Write hubtune.lock with the commit of each input's revision, and download these commits."""
    settings = load_config(config, overrides)
    with shared.on_hub(hub):
        from hubtune.pipeline.run import pin_inputs

        pins = pin_inputs(settings, config, output.progress, upgrade=upgrade)
        output.result(pins, [f"{entry.repo}  {entry.requested} is {entry.commit}" for entry in pins.all()])
