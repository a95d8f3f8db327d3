"""Where a command's result goes: text or exactly one JSON document on stdout; talk and progress on stderr."""

import json
from collections.abc import Sequence
from functools import cached_property

from rich.console import Console

from hubtune.cli.progress import TerminalProgress
from hubtune.cli.streams import holds_all_text, show, tell
from hubtune.errors import HubtuneError
from hubtune.records.base import Record
from hubtune.records.progress import tell_waits_to


class Output:
    """The output of one command, as the options of the `hubtune` group ask for it."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self._console = Console(stderr=True)

    @cached_property
    def progress(self) -> TerminalProgress:
        """What the stages report to."""
        progress = TerminalProgress(self._console, quiet=self.quiet)
        tell_waits_to(progress)
        return progress

    def result(self, record: Record, lines: Sequence[str] = ()) -> None:
        """Prints the command's result: the record as JSON, or the lines for a person."""
        if self.as_json:
            show(_fitting(record.to_json()))
        else:
            show("".join(f"{line}\n" for line in lines))

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
            show(_fitting(json.dumps(document, indent=2, ensure_ascii=False) + "\n"))
        tell(f"Error: {error.message}")
        for detail in error.details:
            tell(f"  - {detail}")
        if error.hint:
            tell(f"What to do: {error.hint}")


def _fitting(document: str) -> str:
    """Returns a JSON document in letters that stdout has: JSON's own escapes stand for the others."""
    return document if holds_all_text() else json.dumps(json.loads(document), indent=2) + "\n"
