"""`hubtune verify`: whether a published release matches its own claims."""

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
        return f"{what} does not match its own claims; do not rely on it ({names})."
    open_ = [name for name, found in status.items() if found == "unchecked" and name != "origin"]
    checked = f"Everything that was checked of {what} matches" + (
        f" (not checked: {', '.join(open_)})" if open_ else ""
    )
    if status["origin"] == "confirmed":
        return f"{checked}, and its commit is the announced one."
    return f"{checked}. The release is consistent, but it is not signed, so this does not show who published it."


def _signs() -> dict[str, str]:
    try:
        "".join(_SIGNS.values()).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return _PLAIN
    return _SIGNS


@click.command(short_help="Verify a published release.")
@release_argument
@click.option("--commit", "announced", metavar="HEX", help="Full commit hash that the publisher announced.")
@click.option("--evaluate", is_flag=True, help="Evaluate again and compare the results with the record.")
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
    """Verify every claim of the release REPO@TAG from public sources only. TAG can be a commit.

    Each claim is confirmed, contradicted or unchecked, with a reason. The exit code is 0 if no claim is contradicted.
    Without --commit, this shows that the release is consistent, but not who published it.
    """
    with on_hub(hub):
        from hubtune.verify.claims import VerifyOptions, verify_release

        options = VerifyOptions(announced=announced, evaluate=evaluate, allow_remote_code=allow_remote_code)
        record = verify_release(*release, output.progress, options)
    output.result(record, claim_lines(record))
    return VerificationError.exit_code if record.contradicted else 0
