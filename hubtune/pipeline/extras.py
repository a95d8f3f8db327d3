"""Checks that the packages of the `train` extra are installed, before a command needs them."""

from importlib.util import find_spec

from hubtune.errors import MissingExtraError

_TRAIN = (
    *("torch", "transformers", "peft", "datasets", "accelerate"),
    *("datasketch", "detect_secrets", "phonenumbers", "stdnum"),
    *("rouge_score", "sacrebleu", "sklearn"),
)


def require_train(what: str) -> None:
    """Refuses where a package that `what` needs is missing.

    Raises:
        MissingExtraError: One is; the hint says how to install all of them.
    """
    missing = [name for name in _TRAIN if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"{what} needs packages that are not installed: {', '.join(missing)}.",
            hint='Install them: pip install "hubtune[train]"',
        )
