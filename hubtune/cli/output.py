"""Where a command's result goes: text or exactly one JSON document on stdout; talk and progress on stderr."""

import json
from collections.abc import Sequence
from functools import cached_property

import click
from rich.console import Console

from hubtune.cli.progress import TerminalProgress
from hubtune.errors import HubtuneError
from hubtune.records.base import Record


class Output:
    """The output of one command, as the options of the `hubtune` group ask for it."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self._console = Console(stderr=True)

    @cached_property
    def progress(self) -> TerminalProgress:
        """What the stages report to."""
        return TerminalProgress(self._console, quiet=self.quiet)

    def result(self, record: Record, lines: Sequence[str] = ()) -> None:
        """Prints the command's result: the record as JSON, or the lines for a person."""
        if self.as_json:
            click.echo(record.to_json(), nl=False)
        else:
            for line in lines:
                click.echo(line)

    def error(self, error: HubtuneError) -> None:
        """Prints what went wrong, why, and what to do next."""
        if self.as_json:
            document = {
                "error": {
                    "type": type(error).__name__,
                    "exit_code": error.exit_code,
                    "message": error.message,
                    "details": list(error.details),
                    "hint": error.hint,
                }
            }
            click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        click.echo(f"Error: {error.message}", err=True)
        for detail in error.details:
            click.echo(f"  - {detail}", err=True)
        if error.hint:
            click.echo(f"What to do: {error.hint}", err=True)
