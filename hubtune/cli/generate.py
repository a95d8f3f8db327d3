"""`hubtune generate`: text from a published release."""

import sys
from pathlib import Path

import click

from hubtune.cli.options import NamedRelease, WholeNumber, code_option, hub_option, on_hub, release_argument
from hubtune.cli.output import Output, escaped


@click.command(short_help="Complete a prompt with a published release.")
@release_argument
@click.argument("prompt")
@click.option("--chat", is_flag=True, help="Send the prompt as a user message in the release's chat template.")
@click.option(
    "--max-new-tokens",
    type=WholeNumber(min=1),
    metavar="N",
    help="Maximum number of tokens to generate.  [default: from the release's settings]",
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
    """Complete PROMPT with the release REPO@TAG and print the completion. TAG can be a commit.

    Weights, tokenizer and generation settings are those of the release, and the base model is loaded at the commit that
    its adapter names. The same prompt gives the same text. If PROMPT is -, it is read from stdin, without the final
    newline.
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
