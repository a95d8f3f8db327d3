"""`hubtune rate`: blind pairs of base and tuned model, for people to compare."""

from pathlib import Path

import click

from hubtune.cli.options import WholeNumber, run_argument
from hubtune.cli.output import Output


@click.command(short_help="Have people compare base and tuned model, blind.")
@run_argument
@click.option("-n", "count", type=WholeNumber(min=1), metavar="N", help="Held-out prompts to make pairs for (50).")
@click.option("--rater", metavar="NAME", help="Who rates: any pseudonym. It is not published.  [default: rater1]")
@click.option("--terminal", is_flag=True, help="Rate here, not in a browser.")
@click.option("--report", "only_report", is_flag=True, help="Print the result of the answers so far, and ask for none.")
@click.option("--port", type=WholeNumber(0, 65535), default=0, show_default=True, help="0 takes a free one.")
@click.pass_obj
def rate(
    output: Output, run: Path, count: int | None, rater: str | None, terminal: bool, only_report: bool, port: int
) -> None:
    """Compare what base and tuned model of the run directory RUN write, blind: nothing says whose text is whose.

    The texts are made once, after held-out prompts. The page is for this machine alone; Ctrl-C ends it. Each answer is
    kept at once, and the same command goes on where one stopped. The win rate stands in ratings.json and, once it is
    rendered again, on the card.
    """
    from hubtune.cli.rating import rate_in_browser, rate_in_terminal, ratings_lines
    from hubtune.pipeline.rating import DEFAULT_RATER, Session, check_rater, report
    from hubtune.records.rundir import RunDirectory

    directory = RunDirectory.open(run)
    if not only_report:
        from hubtune.pipeline.pairing import pairs_of

        name = check_rater(rater or DEFAULT_RATER)
        session = Session(directory, pairs_of(directory, count, output.progress), name)
        if terminal:
            rate_in_terminal(session, output.progress)
        else:
            rate_in_browser(session, port, output.progress)
    record = report(directory)
    output.result(record, [*ratings_lines(record), f"Next: hubtune card render {run}"])
