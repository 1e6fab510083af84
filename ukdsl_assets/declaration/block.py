"""What every block of a declaration shares."""

from datetime import date, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

NAME = r"^[a-z][a-z0-9_]*$"
# What Dagster takes for an owner: a team or an address.
OWNER = r"^(team:[A-Za-z0-9_-]+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7})$"
Name = Annotated[str, Field(pattern=NAME, max_length=48)]
# Bounds beyond which a library overflows or a machine gives up in the middle of a run. LightGBM counts in 32 bits.
MOST = 2**31 - 1
MOST_DAYS = 3650
Count = Annotated[int, Field(ge=1, le=MOST)]
Days = Annotated[int, Field(ge=1, le=MOST_DAYS)]
# What a column of integers holds.
MOST_ID = 2**63 - 1
Id = Annotated[int, Field(ge=-MOST_ID - 1, le=MOST_ID)]
Seed = Annotated[int, Field(ge=0, le=MOST)]
# A weight or a cost; float32 still holds it times a loss.
Weight = Annotated[float, Field(ge=0, le=1e6)]
PositiveWeight = Annotated[float, Field(gt=0, le=1e6)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
# Microseconds of its logs, and windows before and after it, stay inside what dates can hold.
Day = Annotated[date, Field(ge=date(1970, 1, 1), le=date(2199, 12, 31))]


def _with_unit(value: Any) -> Any:
    if isinstance(value, int | float) or (isinstance(value, str) and value.strip().isnumeric()):
        raise ValueError("expected a duration with its unit, such as PT30M, P1D or P7D")
    return value


AnyDuration = Annotated[timedelta, BeforeValidator(_with_unit)]
Duration = Annotated[AnyDuration, Field(gt=timedelta(0), le=timedelta(days=MOST_DAYS))]


class Declared(BaseModel):
    """Base of every block: unknown keys, NaN and infinity are errors, values are fixed once read, docstrings below keys
    describe them."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)
