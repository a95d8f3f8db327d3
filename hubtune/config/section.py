"""What the config's sections have in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Frozen, and closed: a key that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
