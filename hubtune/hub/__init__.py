"""The only package that imports `huggingface_hub`. All requests to the Hub, also those of libraries, use its client."""

import os

from hubtune.config.fields import PUBLIC_HUB, require_endpoint
from hubtune.errors import ConfigError

# Seconds or bytes. The libraries read them as they are imported, and end with an error of Python's at any other text.
_NUMBERS = {"HF_HUB_DOWNLOAD_TIMEOUT": int, "HF_HUB_ETAG_TIMEOUT": int, "HF_DATASETS_IN_MEMORY_MAX_SIZE": float}


def require_environment() -> None:
    """Checks the environment variables of the Hub, before the Hub's client is imported.

    Raises:
        ConfigError: HF_ENDPOINT is not the address of a Hub, or a number is not one.
    """
    require_endpoint(os.environ.get("HF_ENDPOINT", PUBLIC_HUB))
    for name, number in _NUMBERS.items():
        value = os.environ.get(name, "0")
        try:
            usable = number(value) >= 0
        except ValueError:
            usable = False
        if not usable:
            kind = "whole number" if number is int else "number"
            raise ConfigError(
                f"{name} is {value!r}, which is not a {kind}, 0 or above.", hint=f"Correct or unset {name}."
            )


require_environment()

from hubtune.hub import client  # noqa: E402 - only an environment that was checked is one to import the client in

client.use()
