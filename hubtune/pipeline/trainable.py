"""What can be known of the data before it is fetched."""

from pathlib import Path

from hubtune.config.schema import TuneConfig
from hubtune.errors import ConfigError, DataError


def check_data(config: TuneConfig) -> None:
    """Refuses data in a file that is not there, and a classifier that is to be published merged.

    Raises:
        ConfigError: An adapter that classifies is to be merged.
        DataError: A local file is missing.
    """
    named = [(f"data[{number}]", entry) for number, entry in enumerate(config.data)]
    named += [(f"earlier.data[{number}]", entry) for number, entry in enumerate(config.earlier_data)]
    for name, entry in named:
        if entry.path is not None and not Path(entry.path).is_file():
            raise DataError(
                f"There is no file {entry.path}, which {name}.path names.",
                hint="Correct the path; a relative one starts at the config's folder.",
            )
        merged = config.publish.artifact == "merged" and not config.train.whole
        if entry.stated_format == "classification" and merged:
            raise ConfigError(
                f"{name}.format is classification, and a classifier's adapter cannot be merged into its base.",
                hint="Set `publish.artifact: adapter`, or train complete weights: `train.method: full` or `freeze`.",
            )
