"""The config's section on what the model learnt before, and what is done so that it does not forget it."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from hubtune.config.data import MOST_DATA, DataConfig
from hubtune.config.section import Section


class EarlierConfig(Section):
    """An earlier task, whose held-out rows show how much of it is forgotten.

    Without `replay` and `ewc` forgetting is measured, and nothing is done against it.
    """

    data: Annotated[list[DataConfig], Field(min_length=1, max_length=MOST_DATA)]
    """The data sets of the earlier task, written as `data` is. Their held-out rows are measured too, and the card
    reports how much of the task was forgotten."""
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """The share of the earlier rows that is held out. With the `evaluate.holdout` and `evaluate.seed` of the earlier
    run, these are the rows that were held out then."""
    replay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The share of the training set that is drawn from the earlier rows, so that less is forgotten."""
    ewc: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """The strength of elastic weight consolidation (lambda in Kirkpatrick et al., 2017), which keeps weights that
    matter to the earlier task near their start. Good values differ by orders of magnitude: try 1, 100 and 10,000. 0
    turns it off."""
    fisher_rows: Annotated[int, Field(ge=1)] = 200
    """The most earlier rows from which elastic weight consolidation estimates how much each weight matters."""

    @model_validator(mode="after")
    def _of_text(self) -> Self:
        if any(entry.stated_format == "classification" for entry in self.data):
            raise ValueError(
                "forgetting is measured on text, and the format of a data set here is 'classification'; leave it out"
            )
        return self
