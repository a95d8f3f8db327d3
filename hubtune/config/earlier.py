"""The config's section on what the model learnt before, and what is done so that it does not forget it."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from hubtune.config.data import DataConfig
from hubtune.config.section import Section


class EarlierConfig(Section):
    """An earlier task, whose held-out rows tell how much of it is forgotten.

    Without `replay` and `ewc` forgetting is measured and nothing is done against it.

    Attributes:
        data: What the model learnt before, written as it was then.
        holdout: The share of its rows that are held out, by the same hash and seed as those of `data`: with the share
            of the earlier run they are the rows that were held out in it.
        replay: The share of all rows to train on that are drawn from the earlier ones.
        ewc: How strongly the weights are held to where they started: the factor lambda of elastic weight consolidation
            (Kirkpatrick et al., 2017).
        fisher_rows: The most earlier rows that tell how much each weight matters to the earlier task.
    """

    data: Annotated[list[DataConfig], Field(min_length=1)]
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.1
    replay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    ewc: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    fisher_rows: Annotated[int, Field(ge=1)] = 200

    @model_validator(mode="after")
    def _of_text(self) -> Self:
        if any(entry.stated_format == "classification" for entry in self.data):
            raise ValueError(
                "forgetting is measured on text, and the format of a data set here is 'classification'; leave it out"
            )
        return self
