"""The OpenAPI description: true for whatever is asked, and complete."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import CHECKS

from aggregator.web.reference import operations

HEADERS = {"authorization": "Bearer test-token"}


@pytest.fixture
def described(fleet: Any) -> Any:
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", fleet.app)
    return schema.exclude(path="/api/v1/events").include(method="GET")


def test_answers_are_as_described(described: Any) -> None:
    """Every GET address answers generated requests with a status, type and body that the description has."""
    names = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
    checks = CHECKS.get_by_names(names)
    asked = []
    for result in described.get_all_operations():
        operation = result.ok()

        @settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def holds(case: Any) -> None:
            case.call_and_validate(headers=HEADERS, checks=checks)

        holds()
        asked.append(operation.path)
    assert len(asked) == 17


async def test_every_operation_is_described_with_an_example(fleet: Any) -> None:
    """Each has a sentence, and each JSON answer an example on the reference page."""
    found = list(operations(fleet.app.openapi()))
    assert len(found) == 24
    assert [o.path for o in found if not o.summary] == []
    assert [o.path for o in found if not o.answer and not o.path.endswith(("export", "metrics"))] == []


async def test_reference_needs_nothing_from_elsewhere(fleet: Any) -> None:
    """The page works without network: no address of another host in any of its links and sources."""
    async with fleet.client("") as client:
        page = await client.get("/api/docs")
        document = await client.get("/api/openapi.json")
    assert page.status_code == 200
    assert 'href="http' not in page.text
    assert 'src="http' not in page.text
    assert "/api/v1/findings/{finding_id}/triage" in page.text
    assert document.json()["openapi"].startswith("3.")
