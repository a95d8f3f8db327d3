"""The job of `hubtune generate`: completes a prompt with a published release."""

from dataclasses import dataclass
from typing import Literal

from hubtune.errors import ConfigError, ReleaseError
from hubtune.files import loading
from hubtune.pipeline.context import require_train
from hubtune.pipeline.published import fetch_release
from hubtune.records.base import Commit, Progress, Record


class GenerationRecord(Record):
    """A completion and everything that it was made from.

    Attributes:
        commit: The commit of the release.
        base: The base model of an adapter; null for merged weights.
        base_commit: The commit of the base model.
        prompt: The prompt as given.
        chat: Whether the prompt was put into the release's chat template.
        completion: The generated text, without the prompt and the stop token.
        tokens: The number of generated tokens, including the stop token.
        stop_reason: Whether a stop token or the limit ended the text.
    """

    repo: str
    commit: Commit
    base: str | None
    base_commit: Commit | None
    prompt: str
    chat: bool
    completion: str
    tokens: int
    stop_reason: Literal["stop token", "length"]


@dataclass(frozen=True)
class Prompt:
    """What to complete, and how.

    Attributes:
        text: The beginning.
        chat: Put it as a user's turn into the release's chat template, and have the assistant answer.
        max_new_tokens: The most tokens to write; None is the release's own limit, if the context has room for it.
    """

    text: str
    chat: bool = False
    max_new_tokens: int | None = None


def generate(
    repo: str, revision: str, prompt: Prompt, progress: Progress, *, allow_remote_code: str | None = None
) -> GenerationRecord:
    """Completes `prompt` with what a release publishes: its weights, its tokenizer and its generation settings.

    Args:
        repo: A model repository.
        revision: A tag, a branch or a commit.
        prompt: What to complete.
        progress: Reports each step.
        allow_remote_code: The commit of the base whose Python code may be run; None for none.

    Raises:
        HubtuneError: As `fetch_release` and `load_release`.
        ConfigError: The prompt is empty or does not fit the context, or there is no chat template.
    """
    _check_prompt(prompt.text)
    require_train("Generating text")
    from hubtune.models.generation import MAX_NEW_TOKENS, complete, encode_prompt
    from hubtune.models.precision import choose_precision
    from hubtune.models.pretrained import context_length, load_tokenizer
    from hubtune.models.release_model import load_release_model

    release = fetch_release(repo, revision, progress, allow_remote_code=allow_remote_code)
    tokenizer = load_tokenizer(release.folder, repo)
    ids = encode_prompt(tokenizer, prompt.text, chat=prompt.chat, name=repo)
    context = context_length(release.base_folder or release.folder, repo)
    _check_length(len(ids), prompt.max_new_tokens, context, repo)
    with progress.task(f"Loading {repo}", 1) as task:
        precision, name = choose_precision("auto"), f"{release.repo}@{release.commit}"
        model = load_release_model(release.folder, release.base_folder, precision, name, tokenizer)
        task.advance()
    limit = prompt.max_new_tokens or model.generation_config.max_new_tokens or MAX_NEW_TOKENS
    with loading(f"{repo} cannot write text", ReleaseError):
        made = complete(model, tokenizer, ids, limit if context is None else min(limit, context - len(ids)))
    return GenerationRecord(
        repo=release.repo,
        commit=release.commit,
        base=release.base_repo,
        base_commit=release.base_commit,
        prompt=prompt.text,
        chat=prompt.chat,
        completion=made.text,
        tokens=made.tokens,
        stop_reason=made.stop_reason,
    )


def _check_prompt(prompt: str) -> None:
    if not prompt.strip():
        raise ConfigError("The prompt is empty.", hint="Give the words that the text is to begin with.")
    try:
        prompt.encode()
    except UnicodeEncodeError:
        raise ConfigError("The prompt is not text in UTF-8.", hint="Convert it first, such as with iconv.") from None


def _check_length(prompt: int, asked: int | None, context: int | None, repo: str) -> None:
    if context is None:
        return
    if prompt >= context:
        raise ConfigError(
            f"The prompt has {prompt:,} tokens, and {repo} reads {context:,} at once, those that it writes included.",
            hint="Give a shorter prompt.",
        )
    if asked is not None and prompt + asked > context:
        raise ConfigError(
            f"The prompt's {prompt:,} tokens and {asked:,} new ones are more than the {context:,} that {repo} reads "
            "at once.",
            hint=f"There is room for {context - prompt:,}: --max-new-tokens {context - prompt}",
        )
