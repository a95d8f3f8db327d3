"""`hubtune rate`: blind pairs of texts by the base and the tuned model, for people to compare."""

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.options import WholeNumber, run_argument
from hubtune.cli.output import Output, tell
from hubtune.records.base import Progress
from hubtune.records.ratings import Answer, RatingsRecord

if TYPE_CHECKING:
    from hubtune.pipeline.rating import Session, Trial


@click.command(short_help="Collect blind human ratings of base and tuned texts.")
@run_argument
@click.option("-n", "count", type=WholeNumber(min=1), metavar="N", help="Number of held-out prompts.  [default: 50]")
@click.option("--rater", metavar="NAME", help="Pseudonym of the rater; not published.  [default: rater1]")
@click.option("--terminal", is_flag=True, help="Rate in the terminal instead of a browser.")
@click.option("--report", "only_report", is_flag=True, help="Only print the results so far.")
@click.option(
    "--port",
    type=WholeNumber(0, 65535),
    default=0,
    show_default=True,
    help="Port of the rating page; 0 selects a free one.",
)
@click.pass_obj
def rate(
    output: Output, run: Path, count: int | None, rater: str | None, terminal: bool, only_report: bool, port: int
) -> None:
    """Compare texts of the base and tuned models of the run directory RUN, without seeing which model wrote which.

    The texts are generated once, from held-out prompts. The rating page is only available on this machine; press
    Ctrl-C to stop it. Each answer is saved at once, so you can stop and resume with the same command. The win rate is
    written to ratings.json, and to the card when you render it again.
    """
    from hubtune.pipeline.context import RunContext
    from hubtune.pipeline.rating import DEFAULT_RATER, Session, check_rater, report

    context = RunContext.open(run, output.progress)
    directory = context.run
    if not only_report:
        from hubtune.pipeline.rating import pairs_of

        name = check_rater(rater or DEFAULT_RATER)
        session = Session(directory, pairs_of(context, count), name)
        if terminal:
            rate_in_terminal(session, output.progress)
        else:
            rate_in_browser(session, port, output.progress)
    record = report(directory)
    output.result(record, [*ratings_lines(record), f"Next: hubtune card render {run}"])


_ANSWERS: dict[str, Answer] = {"1": "a", "2": "b", "0": "tie", "t": "tie"}
_DIRECTIONS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_CUT_OFF = "The last answer was not saved completely, so its pair is shown again."


def rate_in_browser(session: "Session", port: int, progress: Progress) -> None:
    """Serves the page until Ctrl-C."""
    from hubtune.pipeline.page_server import serve_rating

    _begin(session, progress)
    serve_rating(
        session,
        port=port,
        on_ready=lambda address: progress.say(f"{session.rater} rates at {address} (press Ctrl-C to stop)."),
    )


def rate_in_terminal(session: "Session", progress: Progress) -> None:
    """Asks for one answer after the other, until all are given or the rater quits."""
    from hubtune.pipeline.rating import Trial

    _begin(session, progress)
    while isinstance(trial := session.next(), Trial):
        tell(_shown(trial))
        given = _ask()
        if given == "q":
            return
        if given == "u":
            session.undo(trial.answered)
        else:
            session.answer(trial.answered, _ANSWERS[given])
    tell(f"All {trial.total} pairs are rated.")


def _begin(session: "Session", progress: Progress) -> None:
    from hubtune.pipeline.rating import Done

    if session.cut_off:
        progress.warn(_CUT_OFF)
    found = session.next()
    if isinstance(found, Done):
        progress.say(f"{session.rater} has rated all {found.total} pairs.")


def _ask() -> str:
    while True:
        try:
            given: str = click.prompt("1: A is better, 2: B is better, 0: tie, u: undo, q: quit", err=True)
        except click.Abort:
            # Ctrl-C, or the end of the input: what was answered is kept.
            return "q"
        if (given := given.strip().lower()) in {*_ANSWERS, "u", "q"}:
            return given
        tell("That is not one of the answers.")


def _shown(trial: "Trial") -> str:
    return "\n".join(
        [
            "",
            f"--- Pair {trial.answered + 1} of {trial.total} ---",
            *_block("Prompt", trial.prompt),
            *_block("A", trial.a),
            *_block("B", trial.b),
            "",
        ]
    )


def _block(label: str, text: str) -> list[str]:
    return ["", f"{label}:", *(f"  {line}" for line in (plain(text.strip() or "(no words)").split("\n")))]


def plain(text: str) -> str:
    """Returns a text without what would control the terminal: control characters and changes of direction."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _steers(character) else character for character in text)


def _steers(character: str) -> bool:
    if unicodedata.category(character) == "Cc":
        return character not in "\n\t"
    return unicodedata.bidirectional(character) in _DIRECTIONS


def ratings_lines(record: RatingsRecord) -> list[str]:
    """Returns the lines that tell the win rate and what it is of."""
    counts, measure = record.counts, record.measure
    lines = [
        f"win rate: tuned {_percent(measure.tuned)} of {measure.n} decided pairs{_interval(measure.tuned_interval)}"
        if measure.tuned is not None
        else "win rate: no decided pairs",
        f"pairs: tuned better in {counts.tuned}, base in {counts.base}, tie in {counts.ties}, of "
        f"{record.offered} ({record.identical} more with identical texts)",
        f"answers: {counts.answers} of {counts.raters} {'rater' if counts.raters == 1 else 'raters'}",
    ]
    if counts.compared:
        lines.append(
            f"agreement: raters answered the same in {counts.agreed} of {counts.compared} comparisons of the same pair "
            f"({_percent(counts.agreed / counts.compared)})"
        )
    if measure.status != "measured":
        lines.append(f"insufficient data: {measure.detail}")
    return lines


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" (95% interval {_percent(interval[0])} to {_percent(interval[1])})"


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"
