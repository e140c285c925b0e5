"""Settings checked by pydantic: the types they share, and one line for each mistake in them."""

import difflib
import functools
import typing
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from actdim.errors import UserError


class Settings(BaseModel):
    """A section of a YAML file: every key is known, every number finite, and nothing changes after the check."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Named(Settings):
    """The settings of a function that a study names; the function's signature adds its own."""

    name: str = Field(description="name of one that is built in, or module:function of your own")
    files: list[str] = Field(
        [], description="files and folders that a function of your own reads; a change of their content trains again"
    )


ALREADY_CHECKED = "already checked"  # the validation context of settings that were checked before they were stored


@functools.cache
def any_settings(base):
    """Return a pydantic model that extends `base` by whatever settings it is given."""
    return type(base.__name__, (base,), {"__module__": __name__, "model_config": ConfigDict(extra="allow")})


Count = Annotated[int, Field(ge=1)]
Unit = Annotated[int, Field(ge=0)]  # an epoch or step
NonNegative = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Item = TypeVar("Item")


class OrOneItem:
    """Annotates a list for which its only item may stand."""

    def __get_pydantic_json_schema__(self, schema, handler):
        """Allow the item in the JSON Schema, too."""
        array = handler(schema)
        return {"anyOf": [array["items"], array]}


def without_repeats(values):
    """Refuse a list that names something twice."""
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ValueError(f"names {twice} twice")
    return values


Units = Annotated[list[Unit], Field(min_length=1), AfterValidator(without_repeats)]
OneOrMore = Annotated[
    list[Item],
    Field(min_length=1),
    BeforeValidator(lambda items: [items] if isinstance(items, str) else items),
    AfterValidator(without_repeats),
    OrOneItem(),
]


def check(model, content, where):
    """Return `content` as an instance of the pydantic model `model`.

    Raises UserError with one line for each mistake: `where`, the key, what is wrong and what would be right.
    """
    try:
        return model.model_validate(content)
    except ValidationError as mistakes:
        raise UserError("\n".join(describe(model, mistake, where) for mistake in mistakes.errors())) from None
    except UserError as error:  # of a function that is named and not there
        raise UserError(f"{where}: {error}") from None


def fill_in(section, defaults):
    """Return a section with the values of `defaults`, another section, for the keys that it does not state."""
    stated = {name: getattr(section, name) for name in section.model_fields_set}
    return type(section)(**{**dict(defaults), **stated})


def describe(model, mistake, where):
    """Return the line for one of pydantic's mistakes."""
    *sections, last = place = [str(part) for part in mistake["loc"]] or [""]
    key = ".".join(place)
    start = f"{where}{': ' if where.endswith(('.yaml', '.yml')) or not key else '.'}{key}".removesuffix(": ")
    if mistake["type"] == "extra_forbidden":
        return f"{start}: unknown key{hint(last, known_keys(model, sections))}"
    if mistake["type"] == "missing":
        return f"{start}: missing"
    if mistake["type"] == "value_error":
        return f"{start}: {mistake['ctx']['error']}"
    return f"{start}: {mistake['msg'][0].lower()}{mistake['msg'][1:]}, not {mistake['input']!r}"


def hint(key, known):
    """Return what to write in place of an unknown key, as the end of a line: the most similar known one, or all."""
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}" if known else ""


def known_keys(model, sections):
    """Return the keys of a section, of a section, ... of a pydantic model; [] where there is no such section."""
    for section in sections:
        field = model.model_fields.get(section)
        model = field and model_in(field.annotation)
        if not model:
            return []
    return list(model.model_fields)


def model_in(annotation: Any):
    """Return the pydantic model that an annotation such as `Schedule | None` mentions; None where there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(model_in, typing.get_args(annotation))), None)
