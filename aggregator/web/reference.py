"""/api/docs: the OpenAPI description as a page of our own, without scripts or anything from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from aggregator.web.rendering import page

router = APIRouter()

_METHODS = ("get", "post", "put", "patch", "delete")
_DEEPEST = 6  # schemas nest less; a cycle must end


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    place: str
    kind: str
    required: bool
    default: str
    description: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address; ``body`` and ``answer`` are examples as JSON, empty when there is none."""

    method: str
    path: str
    tag: str
    summary: str
    parameters: list[Parameter]
    body: str
    answer: str
    statuses: list[tuple[str, str]]


@router.get("/api/docs")
async def reference(request: Request) -> Response:
    schema: dict[str, Any] = request.app.openapi()
    groups: dict[str, list[Operation]] = {}
    for operation in operations(schema):
        groups.setdefault(operation.tag, []).append(operation)
    return page(request, "reference.html", info=schema["info"], groups=groups)


def operations(schema: dict[str, Any]) -> Iterator[Operation]:
    """Every operation an OpenAPI document describes, in its order."""
    for path, methods in schema["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield _operation(schema, path, method, methods[method])


def example(schema: dict[str, Any], part: dict[str, Any], depth: int = 0) -> Any:
    """A value of the JSON schema ``part``: its example if it has one, else made from its properties."""
    if "$ref" in part:
        part = schema["components"]["schemas"][part["$ref"].rpartition("/")[2]]
    if "example" in part:
        return part["example"]
    for chosen in ("examples", "enum"):
        if part.get(chosen):
            return part[chosen][0]
    if depth > _DEEPEST:
        return None
    if "const" in part:
        return part["const"]
    if "properties" in part:
        return {name: example(schema, inner, depth + 1) for name, inner in part["properties"].items()}
    for joined in ("anyOf", "allOf"):
        if joined in part:
            return example(schema, part[joined][0], depth + 1)
    if part.get("type") == "array":
        return [example(schema, part["items"], depth + 1)]
    return {"string": "…", "integer": 0, "number": 0.0, "boolean": False, "object": {}}.get(part.get("type", ""))


def _operation(schema: dict[str, Any], path: str, method: str, told: dict[str, Any]) -> Operation:
    answer = told["responses"].get("200", {}).get("content", {})
    return Operation(
        method=method.upper(),
        path=path,
        tag=told.get("tags", ["other"])[0],
        summary=told.get("description", told.get("summary", "")),
        parameters=[_parameter(parameter) for parameter in told.get("parameters", []) if parameter["in"] != "cookie"],
        body=_shown(schema, told.get("requestBody", {}).get("content", {})),
        answer=_shown(schema, answer),
        statuses=[(status, response["description"]) for status, response in told["responses"].items()],
    )


def _parameter(told: dict[str, Any]) -> Parameter:
    kind = told["schema"]
    choices = " | ".join(kind.get("enum", [])) or kind.get("type", "") or kind.get("anyOf", [{}])[0].get("type", "")
    default = json.dumps(kind["default"]) if "default" in kind else ""
    description = told.get("description", kind.get("description", ""))
    return Parameter(told["name"], told["in"], choices, told.get("required", False), default, description)


def _shown(schema: dict[str, Any], content: dict[str, Any]) -> str:
    for media in content.values():
        if isinstance(media.get("example"), str):
            return str(media["example"])
        value = media["example"] if "example" in media else example(schema, media.get("schema", {}))
        return json.dumps(value, indent=2, ensure_ascii=False)
    return ""
