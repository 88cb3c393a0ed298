import pytest

from rules.sources import registry


@pytest.mark.parametrize("name", ["k8s_audit", "aws_cloudtrail"])
def test_sources_are_found_by_name(name: str) -> None:
    """A JSON source has one event type, and each of its fields knows its own name."""
    source = registry.source(name)
    assert (source.name, source.event_types) == (name, {"pluginevent"})
    assert all(key == info.name and info.description for key, info in source.fields.items())


def test_an_unknown_source_is_an_error() -> None:
    """A name that is no source is a KeyError, not an import."""
    with pytest.raises(KeyError, match="okta"):
        registry.source("okta")
