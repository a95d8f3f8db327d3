"""The options by which a command line names the release; they win over the config's `publish` section."""

import json
from dataclasses import dataclass

from hubtune.config.schema import TuneConfig
from hubtune.errors import ConfigError


@dataclass(frozen=True)
class TargetOptions:
    """The options of the commands that publish; None if the config decides.

    Attributes:
        private: Whether to create the repository as a private one; False leaves it to the config.
        propose: Whether to open a pull request instead of pushing.
        counterpart: Whether the other kind of artifact is meant, for the repository that `publish.counterpart` names.
    """

    repo: str | None = None
    tag: str | None = None
    branch: str | None = None
    message: str | None = None
    private: bool = False
    propose: bool = False
    counterpart: bool = False

    @property
    def overrides(self) -> list[str]:
        """The same as overrides of the config."""
        given = {"repo": self.repo, "tag": self.tag, "branch": self.branch, "message": self.message}
        # Quoted as JSON, so that a tag such as 1.0 stays the text that was given.
        overrides = [f"publish.{key}={json.dumps(value)}" for key, value in given.items() if value is not None]
        return [*overrides, "publish.private=true"] if self.private else overrides

    def apply_counterpart(self, config: TuneConfig) -> TuneConfig:
        """Returns the config with repository and counterpart, and their kinds of artifact, changed over if asked for.

        Raises:
            ConfigError: The config does not name both repositories.
        """
        publish = config.publish
        if not self.counterpart:
            return config
        if publish.repo is None or publish.counterpart is None:
            raise ConfigError(
                "--counterpart was given, and the config does not name two repositories.",
                hint="Set both in the config: `publish.repo`, and `publish.counterpart` for the other kind of "
                "artifact.",
            )
        other = "merged" if publish.artifact == "adapter" else "adapter"
        changed = {"repo": publish.counterpart, "counterpart": publish.repo, "artifact": other}
        return config.model_copy(update={"publish": publish.model_copy(update=changed)})

    def require_fit(self, config: TuneConfig) -> None:
        """Checks that the options fit the config that they were put into.

        Raises:
            ConfigError: A pull request is asked for, and the config names a branch to push to.
        """
        if self.propose and config.publish.branch != "main":
            raise ConfigError(
                f"A pull request is made to the branch main, and `publish.branch` is {config.publish.branch}.",
                hint="Leave out --create-pr; or leave out --branch and `publish.branch`.",
            )
