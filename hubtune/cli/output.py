"""Where a command's result goes: text or exactly one JSON document on stdout; talk and progress on stderr."""

import json
from collections.abc import Sequence
from functools import cached_property

from rich.console import Console

from hubtune.cli.progress import TerminalProgress
from hubtune.cli.streams import escaped_json, holds_all_text, one_line, show, tell, terminal
from hubtune.errors import HubtuneError
from hubtune.records.base import Record
from hubtune.records.progress import tell_waits_to


class Output:
    """The output of one command, as the options of the `hubtune` group ask for it."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self._console = Console(file=terminal(), emoji=False)

    @cached_property
    def progress(self) -> TerminalProgress:
        """What the stages report to."""
        progress = TerminalProgress(self._console, quiet=self.quiet)
        tell_waits_to(progress)
        return progress

    def result(self, record: Record, lines: Sequence[str] = (), *, verbatim: bool = False) -> None:
        """Prints the command's result: the record as JSON, or the lines for a person.

        Args:
            record: What the command made.
            lines: The same for a person.
            verbatim: Whether the lines are shown to the character: nothing in them is to be escaped.
        """
        if self.as_json:
            show(_fitting(record.to_json()))
        else:
            show("".join(f"{line if verbatim else one_line(line)}\n" for line in lines))

    def document(self, text: str) -> None:
        """Prints a result that is a JSON document with and without `--json`."""
        show(_fitting(text))

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
        tell(f"Error: {one_line(error.message)}")
        for detail in error.details:
            tell(f"  - {one_line(detail)}")
        if error.hint:
            tell(f"What to do: {one_line(error.hint)}")


def _fitting(document: str) -> str:
    """Returns a JSON document in JSON's own escapes for what stdout has no letters for or what steers terminals."""
    return escaped_json(document) if holds_all_text() else json.dumps(json.loads(document), indent=2) + "\n"
