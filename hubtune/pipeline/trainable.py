"""What can be known of the data before it is fetched."""

from pathlib import Path

from hubtune.config.schema import TuneConfig
from hubtune.data.formats.chat import check_template
from hubtune.errors import ConfigError, DataError
from hubtune.templating.chat import ChatTemplate


def check_data(config: TuneConfig) -> None:
    """Refuses data in a file that is not there, a chat template that is none, and a classifier to be published merged.

    Raises:
        ConfigError: An adapter that classifies is to be merged, or the chat template cannot be compiled.
        DataError: A local file is missing.
    """
    if config.chat_template is not None:
        check_template(ChatTemplate(config.chat_template, {}), given=True)
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
