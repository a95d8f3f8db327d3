"""What is wrong with a document is said by its key paths, in no word of pydantic or of Python."""

import re
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hubtune.validation import faults_of

INTERNAL = re.compile(r"Field|Input|String|List|Dictionary|NoneType|True|False|Inner|Outer|pydantic|str\b|dict|int\b")


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: Annotated[str, Field(min_length=2, pattern=r"^[a-z]+$")]
    count: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] = "auto"
    share: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.5
    layers: list[str] | Literal["all"] = "all"
    private: bool = False

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value == "none":
            raise ValueError("'none' is reserved; choose another name")
        return value


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    items: Annotated[list[Inner], Field(min_length=1)]
    kind: Literal["a", "b"] = "a"


def said(document, *, values=True):
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(document)
    return [str(fault) for fault in faults_of(caught.value, values=values)]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({}, "items[0].name: this key is missing"),
        ({"nam": "ab"}, "items[0].nam: there is no such key"),
        ({"name": 3}, "items[0].name: this has to be text, in quotes (it is 3)"),
        ({"name": None}, "items[0].name: this has to be text (it is null)"),
        ({"name": "a"}, "items[0].name: the text has to have at least 2 characters (it is 'a')"),
        ({"name": "none"}, "items[0].name: 'none' is reserved; choose another name"),
        ({"name": "ab", "count": 0}, "items[0].count: this has to be at least 1, or 'auto' (it is 0)"),
        ({"name": "ab", "count": 99}, "items[0].count: this has to be at most 64, or 'auto' (it is 99)"),
        ({"name": "ab", "count": "x"}, "items[0].count: this has to be a whole number, or 'auto' (it is 'x')"),
        ({"name": "ab", "share": "x"}, "items[0].share: this has to be a number (it is 'x')"),
        ({"name": "ab", "share": float("nan")}, "items[0].share: this has to be a finite number (it is nan)"),
        ({"name": "ab", "layers": 3}, "items[0].layers: this has to be a list, or 'all' (it is 3)"),
        ({"name": "ab", "layers": [3]}, "items[0].layers[0]: this has to be text, in quotes (it is 3)"),
        ({"name": "ab", "private": "x"}, "items[0].private: this has to be true or false (it is 'x')"),
        (3, "items[0]: this has to be a mapping of keys to values (it is 3)"),
    ],
)
def test_a_fault_is_said_by_its_place_and_what_has_to_be_there(item, expected):
    lines = said({"items": [item]})
    assert expected in lines
    assert not any(INTERNAL.search(line) for line in lines)


def test_faults_of_the_whole_and_of_several_places_are_all_said():
    assert said([]) == ["this has to be a mapping of keys to values"]
    assert said({"items": [], "kind": "c", "new": 1}) == [
        "items: the list has to have at least 1 item",
        "kind: this has to be 'a' or 'b' (it is 'c')",
        "new: there is no such key",
    ]


def test_values_are_shown_only_when_asked_for_and_never_whole_when_long():
    assert said({"items": [{"name": "S3CRET"}]}, values=False) == [
        "items[0].name: the text has to match pattern '^[a-z]+$'"
    ]
    assert len(said({"items": [], "kind": "x" * 100_000})[1]) < 200
