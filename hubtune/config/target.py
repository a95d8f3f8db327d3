"""What a command line says of the release, which wins over the config."""

import json
from dataclasses import dataclass

from hubtune.config.schema import TuneConfig
from hubtune.errors import ConfigError


@dataclass(frozen=True)
class TargetOptions:
    """The options of the commands that publish; None where the config decides.

    Attributes:
        private: Whether to create the repository as a private one; False leaves it to the config.
        propose: Whether to open a pull request instead of pushing.
    """

    repo: str | None = None
    tag: str | None = None
    branch: str | None = None
    message: str | None = None
    private: bool = False
    propose: bool = False

    @property
    def overrides(self) -> list[str]:
        """The same as overrides of the config."""
        given = {"repo": self.repo, "tag": self.tag, "branch": self.branch, "message": self.message}
        # Quoted as JSON, so that a tag such as 1.0 stays the text that was given.
        overrides = [f"publish.{key}={json.dumps(value)}" for key, value in given.items() if value is not None]
        return [*overrides, "publish.private=true"] if self.private else overrides

    def require_fit(self, config: TuneConfig) -> None:
        """Checks that the options fit the config that they were put into.

        Raises:
            ConfigError: A pull request is asked for, and the config names a branch to push to.
        """
        if self.propose and config.publish.branch != "main":
            raise ConfigError(
                f"A pull request is for the main branch, and publish.branch is {config.publish.branch}.",
                hint="Leave one of --create-pr and --branch out.",
            )
