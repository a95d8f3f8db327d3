"""`hubtune sweep`: many runs of a config with different values, their ranking, and the best one as a config."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.options import hub_option, locked_option, on_hub
from hubtune.cli.output import Output
from hubtune.errors import SweepError

if TYPE_CHECKING:
    from pydantic import JsonValue

    from hubtune.sweep.report import SweepRecord, TrialRecord


@click.command(short_help="Try many values of config fields, and keep the best.")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default=Path("sweep.yaml"), required=False)
@click.option(
    "--storage", metavar="URL|FILE", help="Storage of the trials; overrides FILE's.  [default: FILE's name + .db]"
)
@click.option("--report", "only_report", is_flag=True, help="Only print the trials so far and draw plots.")
@click.option(
    "--best",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Only write the best trial's config to FILE.",
)
@locked_option
@hub_option
@click.pass_obj
def sweep(
    output: Output,
    file: Path,
    storage: str | None,
    only_report: bool,
    best: Path | None,
    locked: bool,
    hub: Path | None,
) -> None:
    """Run the config once for each trial of the sweep file FILE, and rank the trials.

    Inputs are pinned once. Each trial is stored when it ends. Start the command again to continue after a stop, or
    start it several times to share the trials. --best writes a config for `hubtune run`, whose card says how it was
    chosen.
    """
    with on_hub(hub):
        from hubtune.sweep.plan import Sweep
        from hubtune.sweep.report import Report

        loaded = Sweep.load(file, storage)
        if only_report or best is not None:
            report = Report.open(loaded)
        else:
            from hubtune.sweep.search import run_sweep

            report = Report(loaded, *run_sweep(loaded, output.progress, locked=locked))
        record = report.record()
        if only_report:
            record = record.model_copy(update={"pictures": [str(path) for path in report.pictures()]})
        if best is not None:
            report.write_best(best)
            record = record.model_copy(update={"config": str(best)})
        output.result(record, sweep_lines(record, file))
        if record.best is None and not only_report:
            # The record is the one document; it holds the reasons.
            raise click.exceptions.Exit(SweepError.exit_code)


def sweep_lines(record: "SweepRecord", file: Path) -> list[str]:
    """Returns a table of the trials, the best first, and what to do next."""
    fields = list(dict.fromkeys(name for trial in record.trials for name in trial.values))
    ranked = sorted(record.trials, key=lambda trial: (trial.rank or len(record.trials) + 1, trial.number))
    rows = [["rank", "trial", record.metric, *fields, "state"], *(_row(trial, fields) for trial in ranked)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += ["", _summary(record)]
    if record.importance:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in record.importance.items())
        lines.append(f"Importance: {shares}")
    lines += [f"Picture: {path}" for path in record.pictures]
    if record.config is not None:
        return [*lines, f"Best config: {record.config}", f"Next: hubtune run {record.config}"]
    if record.best is not None:
        return [*lines, f"Next: hubtune sweep {file} --best best.yaml"]
    return [*lines, "No trial is complete, so there is no best one."]


def _row(trial: "TrialRecord", fields: list[str]) -> list[str]:
    state = trial.state if trial.again is None else f"{trial.state}, run again as trial {trial.again}"
    return [
        "" if trial.rank is None else str(trial.rank),
        str(trial.number),
        "" if trial.value is None else f"{trial.value:.6g}",
        *(_shown(trial.values[name]) if name in trial.values else "" for name in fields),
        state if trial.detail is None else f"{state}: {trial.detail}",
    ]


def _shown(value: "JsonValue") -> str:
    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _summary(record: "SweepRecord") -> str:
    states = dict.fromkeys(trial.state for trial in record.trials)
    counts = ", ".join(f"{record.count(state)} {state}" for state in states)
    return f"Trials: {counts}; kept in {record.storage}"
