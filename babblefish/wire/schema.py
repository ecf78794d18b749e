"""The wire as a JSON Schema, for clients in other languages: ``python -m babblefish.wire.schema > FILE``."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from babblefish.wire import client_messages, server_messages

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _WithoutTitles(GenerateJsonSchema):
    """Leaves out titles of fields, which would only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def protocol_schema() -> dict[str, Any]:
    """Return the schema of every message, made from their types.

    ``$defs`` has one entry for each message, and three that say what belongs where: ``Join`` (the query string),
    ``ClientMessage`` and ``ServerMessage`` (text frames). The schema itself is that of any text frame.
    """
    unions, schema = TypeAdapter.json_schemas(
        [
            ("Join", "validation", TypeAdapter(client_messages.Join)),
            ("ClientMessage", "validation", _tagged(client_messages.ClientMessage)),
            ("ServerMessage", "serialization", _tagged(server_messages.ServerMessage)),
        ],
        schema_generator=_WithoutTitles,
    )
    definitions = schema["$defs"]
    for (name, _), union in unions.items():
        definitions.setdefault(name, union)
    for kind in definitions["ClientMessage"]["discriminator"]["mapping"].values():
        # pydantic treats a tag with a default as optional, but a message without it is rejected
        definition = definitions[kind.removeprefix("#/$defs/")]
        definition["required"] = ["type", *definition.get("required", [])]
    return {
        "$schema": _DIALECT,
        "title": "BabbleFish wire protocol",
        "anyOf": [{"$ref": "#/$defs/ClientMessage"}, {"$ref": "#/$defs/ServerMessage"}],
        "$defs": dict(sorted(definitions.items())),
    }


def _tagged(union: Any) -> TypeAdapter[Any]:
    return TypeAdapter(Annotated[union, Field(discriminator="type")])


def as_text() -> str:
    """Return the schema as it is kept in ``docs/protocol.schema.json``."""
    return json.dumps(protocol_schema(), ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    print(as_text(), end="")
