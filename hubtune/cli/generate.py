"""`hubtune generate`: text from a published release."""

import sys
from pathlib import Path

import click

from hubtune.cli.options import NamedRelease, WholeNumber, code_option, hub_option, on_hub, release_argument
from hubtune.cli.output import Output, escaped


@click.command(short_help="Complete a prompt with a published release.")
@release_argument
@click.argument("prompt")
@click.option("--chat", is_flag=True, help="Put the prompt into the release's chat template, as the user's words.")
@click.option(
    "--max-new-tokens",
    type=WholeNumber(min=1),
    metavar="N",
    help="The most tokens to write; without it, what the release's own settings say.",
)
@code_option
@hub_option
@click.pass_obj
def generate(
    output: Output,
    release: NamedRelease,
    prompt: str,
    chat: bool,
    max_new_tokens: int | None,
    allow_remote_code: str | None,
    hub: Path | None,
) -> None:
    """Complete PROMPT with what the release REPO@TAG publishes, and print the completion; TAG may be a commit.

    Weights, tokenizer and generation settings are those of the release, the base is at the commit that its adapter
    names, and the same prompt gives the same text. PROMPT - is read from stdin, without its last line end.
    """
    if prompt == "-":
        prompt = sys.stdin.buffer.read().decode(errors="surrogateescape").removesuffix("\n")
    with on_hub(hub):
        from hubtune.pipeline.generate import Prompt
        from hubtune.pipeline.generate import generate as generate_with

        record = generate_with(
            *release,
            Prompt(prompt, chat, max_new_tokens),
            output.progress,
            allow_remote_code=allow_remote_code,
        )
    # A program that reads it gets the very text; a terminal shows escapes for what would steer it.
    lines = [record.completion] if not sys.stdout.isatty() else map(escaped, record.completion.split("\n"))
    output.result(record, list(lines), verbatim=True)
