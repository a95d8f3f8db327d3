"""What a person sees at the end of a run: the measures, where everything is, and how to use it."""

from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.records.evaluation import EvaluationRecord, Measure

if TYPE_CHECKING:
    from hubtune.pipeline.run import Outcome

SERVE_PORT = 8931


def measure_lines(record: EvaluationRecord) -> list[str]:
    """Returns one line a measure: base and tuned value, the change, and what they were taken on."""
    return [_measure_line(measure) for measure in record.measures]


def outcome_lines(outcome: "Outcome", hub: Path | None) -> list[str]:
    """Returns the lines for a finished run; `hub` is the embedded Hub's folder where one was used."""
    lines = ["", *measure_lines(outcome.inputs.evaluation)]
    release = outcome.release
    if release is None:
        lines += ["", f"Run:     {outcome.run.path}", f"Card:    {outcome.run.card_file}"]
        lines += ["", f"Nothing was published. To publish this run: hubtune publish {_short(outcome.run.path)}"]
        return lines
    lines += [
        "",
        f"Repo:    {release.repo}",
        f"Tag:     {release.tag}",
        f"Commit:  {release.commit}",
        f"Card:    {outcome.run.card_file}",
        f"Run:     {outcome.run.path}",
    ]
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


def _measure_line(measure: Measure) -> str:
    if measure.base is None or measure.tuned is None:
        return f"{measure.name}: {measure.status}"
    change = 100 * (measure.tuned - measure.base) / measure.base
    line = f"{measure.name}: base {measure.base:.2f}, tuned {measure.tuned:.2f} ({change:+.1f} %)"
    return f"{line} on {measure.n} {measure.split} rows" + (
        "" if measure.status == "measured" else f"; {measure.detail}"
    )


def _short(path: Path) -> str:
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
