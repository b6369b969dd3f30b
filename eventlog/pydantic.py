"""pydantic models as values, in JSON: `dumps` is a serializer for producers, `loads(Model)` a deserializer for consumers.

Needs the extra `pydantic`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel

_Model = TypeVar("_Model", bound=BaseModel)


def dumps(model: BaseModel) -> bytes:
    """A model as JSON, with the names that its aliases give to fields. Raises `TypeError` for anything else."""
    if not isinstance(model, BaseModel):
        raise TypeError(f"a pydantic model is needed, not {type(model).__name__}")
    text: str = model.model_dump_json(by_alias=True)
    return text.encode()


def loads(kind: type[_Model]) -> Callable[[bytes], _Model]:
    """A function that makes models of this kind from JSON. It raises `pydantic.ValidationError`."""
    validate: Callable[[bytes], _Model] = kind.model_validate_json
    return validate
