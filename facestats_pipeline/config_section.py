"""What every group of settings shares."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings. Unknown keys are errors, so that a typing mistake is never silently a default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def listed(value: object) -> object:
    """A variable holds a list as one text, its parts between semicolons."""
    return [part.strip() for part in value.split(";") if part.strip()] if isinstance(value, str) else value
