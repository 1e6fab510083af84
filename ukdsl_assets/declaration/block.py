"""What every block of a declaration shares."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

NAME = r"^[a-z][a-z0-9_]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=48)]


def _with_unit(value: Any) -> Any:
    if isinstance(value, int | float) or (isinstance(value, str) and value.strip().isnumeric()):
        raise ValueError("expected a duration with its unit, such as PT30M, P1D or P7D")
    return value


Duration = Annotated[timedelta, BeforeValidator(_with_unit)]


class Declared(BaseModel):
    """Base of every block: unknown keys are errors, values are fixed once read, docstrings below keys describe them."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
