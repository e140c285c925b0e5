"""Settings checked by pydantic: the types they share, and one line for each mistake in them."""

import difflib
import functools
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from actdim.errors import UserError


class Settings(BaseModel):
    """A section of a YAML file: every key is known, every number finite, and nothing changes after the check."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Named(Settings):
    """The settings of a function that a study names; the function's signature adds its own."""

    name: str


ALREADY_CHECKED = "already checked"  # the validation context of settings that were checked before they were stored


@functools.cache
def any_settings(base):
    """Return a pydantic model that extends `base` by whatever settings it is given."""
    return type(base.__name__, (base,), {"__module__": __name__, "model_config": ConfigDict(extra="allow")})


Count = Annotated[int, Field(ge=1)]


Unit = Annotated[int, Field(ge=0)]  # an epoch or step


NonNegative = Annotated[float, Field(ge=0)]


Rate = Annotated[float, Field(ge=0, lt=1)]


def check(schema, content, where):
    """Return `content` as an instance of the pydantic model `schema`.

    Raises UserError with one line for each mistake: `where`, the key, what is wrong and what would be right.
    """
    try:
        return schema.model_validate(content)
    except ValidationError as mistakes:
        raise UserError("\n".join(describe(schema, mistake, where) for mistake in mistakes.errors())) from None
    except UserError as error:  # of a function that is named and not there
        raise UserError(f"{where}: {error}") from None


def describe(schema, mistake, where):
    """Return the line for one of pydantic's mistakes."""
    place = [str(part) for part in mistake["loc"]]
    key = ".".join(place)
    start = f"{where}{': ' if where.endswith(('.yaml', '.yml')) or not key else '.'}{key}".removesuffix(": ")
    if mistake["type"] == "extra_forbidden":
        known = list(schema.model_fields) if len(place) == 1 else []
        close = difflib.get_close_matches(place[-1], known, n=1)
        hint = f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}" if known else ""
        return f"{start}: unknown key{hint}"
    if mistake["type"] == "missing":
        return f"{start}: missing"
    if mistake["type"] == "value_error":
        return f"{start}: {mistake['ctx']['error']}"
    return f"{start}: {mistake['msg'][0].lower()}{mistake['msg'][1:]}, not {mistake['input']!r}"


def without_repeats(values):
    """Refuse a list that names something twice."""
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ValueError(f"names {twice} twice")
    return values


Units = Annotated[list[Unit], Field(min_length=1), AfterValidator(without_repeats)]


Item = TypeVar("Item")


OneOrMore = Annotated[
    list[Item],
    Field(min_length=1),
    BeforeValidator(lambda items: [items] if isinstance(items, str) else items),
    AfterValidator(without_repeats),
]
