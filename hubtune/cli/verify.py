"""`hubtune verify`: whether a published release is what it says."""

from pathlib import Path

import click

from hubtune.cli.claims import claim_lines
from hubtune.cli.options import code_option, hub_option, on_hub, release_argument
from hubtune.cli.output import Output
from hubtune.errors import VerificationError


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
        from hubtune.pipeline.verifying.verify import verify_release

        record = verify_release(
            *release, output.progress, announced=announced, evaluate=evaluate, allow_remote_code=allow_remote_code
        )
    output.result(record, claim_lines(record))
    return VerificationError.exit_code if record.contradicted else 0
