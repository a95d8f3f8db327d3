"""`hubtune evaluate`: evaluates a run or a published release."""

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli import options as shared
from hubtune.cli.output import Output
from hubtune.cli.run import chosen_launcher, comparison_lines, measure_lines
from hubtune.errors import ConfigError, FileError
from hubtune.files import file_errors
from hubtune.records.base import write_atomic
from hubtune.records.results import EvaluationRecord

if TYPE_CHECKING:
    from hubtune.pipeline.evaluate_release import MeasureOptions


@click.command(short_help="Evaluate the base and tuned models of a run or a release.")
@click.argument("subject", metavar="RUN|REPO@TAG")
@click.option("--data", metavar="REPO|FILE", help="Evaluate a release on all rows of this dataset or file.")
@shared.set_option
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Also write the record to FILE."
)
@shared.code_option
@shared.hub_option
@shared.launch_option
@shared.launched_option
@click.pass_obj
def evaluate(
    output: Output,
    subject: str,
    data: str | None,
    overrides: tuple[str, ...],
    out: Path | None,
    allow_remote_code: str | None,
    hub: Path | None,
    launch: str | None,
    launched: Path | None,
) -> None:
    """Evaluate the base and tuned models of a run directory RUN or a published release REPO@TAG.

    A run is evaluated on its held-out rows. A release, whose TAG can be a commit, is evaluated on the data that its
    records pin or, with --data, on other data. Other data is read in the same format, unless -s sets another one, such
    as -s data[0].text=quote.
    """
    if launched is not None:
        from hubtune.pipeline.launched import evaluate_share, work

        work(Path(subject), launched, evaluate_share)
        return
    if out is not None:
        _require_place(out)
    if "@" not in subject and not Path(subject).exists():
        raise ConfigError(
            f"{subject} is neither a run directory here nor a release.",
            hint="Give a folder such as runs/20260131-120000-ab12cd, or REPO@TAG, such as org/model@v1.0.0.",
        )
    release = None if Path(subject).exists() else shared.named_release(subject)
    if release is None:
        given = data is not None or bool(overrides) or allow_remote_code is not None
        record, lines = _of_run(output, Path(subject), launch, given=given)
    else:
        if launch is not None:
            raise ConfigError(
                "--launch evaluates a run in several processes, and a release is evaluated in one.",
                hint="Leave --launch out.",
            )
        with shared.on_hub(hub):
            from hubtune.pipeline.evaluate_release import MeasureOptions

            record, lines = _of_release(output, release, MeasureOptions(data, overrides, allow_remote_code))
    if out is not None:
        try:
            write_atomic(out, record.to_json())
        except FileError as error:
            # The results are still shown, as the one document of the command.
            output.result(record, lines)
            Output(as_json=False, quiet=output.quiet).error(error)
            raise click.exceptions.Exit(error.exit_code) from error
    output.result(record, lines)


def _require_place(out: Path) -> None:
    with file_errors(out):
        with contextlib.suppress(FileNotFoundError):
            out.stat()
        with tempfile.TemporaryFile(dir=out.absolute().parent):
            pass


def _of_run(output: Output, path: Path, launch: str | None, *, given: bool) -> tuple[EvaluationRecord, list[str]]:
    from hubtune.pipeline.context import RunContext
    from hubtune.pipeline.stages import run_evaluate

    if given:
        raise ConfigError(
            "--data, -s and --allow-remote-code are for a release; a run is evaluated as its config.yaml says.",
            hint="Leave them out and edit the `evaluate` section of its config.yaml, or give a release, REPO@TAG.",
        )
    launcher = chosen_launcher(launch)
    record = run_evaluate(RunContext.open(path, output.progress), launcher=launcher)
    return record, [*measure_lines(record), f"Next: hubtune card render {path}"]


def _of_release(
    output: Output, release: shared.NamedRelease, options: "MeasureOptions"
) -> tuple[EvaluationRecord, list[str]]:
    from hubtune.pipeline.evaluate_release import measure_release

    record = measure_release(*release, output.progress, options)
    against = "" if record.base is None else f" against {record.base}@{record.base_commit}"
    measured = f"{record.repo}@{record.commit}{against}, on {', '.join(record.data)}"
    return record, [measured, *measure_lines(record)]


@click.command(short_help="Compare two runs or releases.")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@shared.hub_option
@click.pass_obj
def compare(output: Output, a: str, b: str, hub: Path | None) -> None:
    """Compare the tuned models of A and B, measure by measure. Each is a run directory or a release REPO@TAG.

    If two values were not measured in the same way on the same rows, the reason is shown instead of a difference.
    """
    with shared.on_hub(hub):
        from hubtune.release.compare import compare as compare_named

        record = compare_named(a, b)
    output.result(record, comparison_lines(record))
