"""What can be prepared and not be trained on yet."""

from pathlib import Path

from hubtune.config.schema import TuneConfig
from hubtune.errors import ConfigError, DataError


def check_data(config: TuneConfig) -> None:
    """Refuses a config whose data can be looked at and not be trained on, or lies in a file that is not there.

    Raises:
        ConfigError: A data set is to be classified.
        DataError: A local file is missing.
    """
    for number, entry in enumerate(config.data):
        if entry.path is not None and not Path(entry.path).is_file():
            raise DataError(
                f"There is no file {entry.path}, which data[{number}].path names.",
                hint="Correct the path; a relative one starts at the config's folder.",
            )
        if entry.stated_format == "classification":
            raise no_classifier_yet(f"data[{number}].format is classification")


def no_classifier_yet(cause: str) -> ConfigError:
    """Returns the error for data to classify."""
    return ConfigError(
        f"{cause}: hubtune prepares such data and does not train classifiers yet.",
        hint="`hubtune data show` shows the rows and the balance of the labels. To learn the texts alone, state "
        "`format: text`.",
    )
