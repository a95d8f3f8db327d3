"""`hubtune verify`: whether a published release is what it says."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.options import code_option, hub_option, on_hub, release_argument
from hubtune.cli.output import Output
from hubtune.errors import VerificationError

if TYPE_CHECKING:
    from hubtune.records.release import VerificationRecord


_SIGNS = {"confirmed": "✓", "contradicted": "✗", "unchecked": "?"}
_PLAIN = {"confirmed": "+", "contradicted": "!", "unchecked": "?"}


def claim_lines(record: "VerificationRecord") -> list[str]:
    """Returns a line for each claim, and what they mean together."""
    signs = _signs()
    width = max(len(claim.name) for claim in record.claims)
    lines = [f"{signs[claim.status]} {claim.name:{width}}  {claim.status}: {claim.detail}" for claim in record.claims]
    return [*lines, "", _meaning(record)]


def _meaning(record: "VerificationRecord") -> str:
    what = f"{record.repo}@{record.requested}"
    status = {claim.name: claim.status for claim in record.claims}
    if record.contradicted:
        names = ", ".join(claim.name for claim in record.contradicted)
        return f"{what} is not what it says: do not rely on it ({names})."
    open_ = [name for name, found in status.items() if found == "unchecked" and name != "origin"]
    checked = f"What was checked of {what} agrees" + (f" (not checked: {', '.join(open_)})" if open_ else "")
    if status["origin"] == "confirmed":
        return f"{checked}, and it is the commit that you gave."
    return f"{checked}. That shows that it is consistent, and not who published it: it is not signed."


def _signs() -> dict[str, str]:
    try:
        "".join(_SIGNS.values()).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return _PLAIN
    return _SIGNS


@click.command(short_help="Check a published release against its own records.")
@release_argument
@click.option("--commit", "announced", metavar="HEX", help="The whole commit that the publisher announced.")
@click.option("--evaluate", is_flag=True, help="Measure base and tuned model again, and compare with the record.")
@code_option
@hub_option
@click.pass_obj
def verify(
    output: Output,
    release: tuple[str, str],
    announced: str | None,
    evaluate: bool,
    allow_remote_code: str | None,
    hub: Path | None,
) -> int:
    """Check every claim of the release REPO@TAG with nothing but what is public; TAG may be a commit.

    Each claim is confirmed, contradicted, or unchecked with the reason. Exit code 0 means that none is contradicted.
    Without --commit this shows that the release is consistent, and not who published it.
    """
    with on_hub(hub):
        from hubtune.verify.claims import VerifyOptions, verify_release

        options = VerifyOptions(announced=announced, evaluate=evaluate, allow_remote_code=allow_remote_code)
        record = verify_release(*release, output.progress, options)
    output.result(record, claim_lines(record))
    return VerificationError.exit_code if record.contradicted else 0
