"""What can be prepared and not be trained on yet."""

from hubtune.config.schema import TuneConfig
from hubtune.errors import ConfigError


def check_trainable(config: TuneConfig) -> None:
    """Refuses a config whose data can be looked at and not be trained on.

    Raises:
        ConfigError: A data set is to be classified.
    """
    for number, entry in enumerate(config.data):
        if entry.stated_format == "classification":
            raise no_classifier_yet(f"data[{number}].format is classification")


def no_classifier_yet(cause: str) -> ConfigError:
    """Returns the error for data to classify."""
    return ConfigError(
        f"{cause}: hubtune prepares such data and does not train classifiers yet.",
        hint="`hubtune data show` shows the rows and the balance of the labels. To learn the texts alone, state "
        "`format: text`.",
    )
