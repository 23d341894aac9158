"""What every section of params.yaml is built from: the strict base class and numbers with bounds."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(gt=0)]
Degrees = Annotated[float, Field(ge=-360, le=360, allow_inf_nan=False)]
Incidence = Annotated[float, Field(ge=0, lt=90)]


class Section(BaseModel):
    """Base of every section: frozen, no unknown keys, no silent conversions (an int may serve as a float)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
