"""The command line, called within this process, so that it talks to the Hub that a test serves."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from click.testing import CliRunner

from hubtune.cli.app import app


@dataclass(frozen=True)
class Answer:
    """What a command left."""

    code: int
    out: str

    @property
    def document(self) -> dict:
        """The one JSON document on stdout."""
        return json.loads(self.out)


@pytest.fixture
def hubtune() -> Callable[..., Answer]:
    """Runs a command; what it raises comes through."""

    def run(*args: object) -> Answer:
        done = CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False, standalone_mode=False)
        if done.exception is not None:
            raise done.exception
        return Answer(done.return_value or 0, done.stdout)

    return run
