import pytest

from rules.sources import timestamps


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2018-10-25T13:58:49.736141Z", 1540475929736141000),
        ("2018-10-25T13:58:49.123456789Z", 1540475929123456789),
        ("2018-10-25T15:58:49+02:00", 1540475929000000000),
        ("2018-10-25T12:28:49-01:30", 1540475929000000000),
        ("1969-12-31T23:59:59.5Z", -500000000),
    ],
)
def test_times_keep_their_nanoseconds(text: str, time_ns: int) -> None:
    """Fractions and offsets of RFC 3339 are exact to the nanosecond."""
    assert timestamps.parse(text) == time_ns


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2018-10-25", "2018-10-25T13:58:49", "2018-13-25T13:58:49Z", "2018-10-25t13:58:49z"]
)
def test_other_times_are_refused(text: str) -> None:
    """What is no time, or has no zone, is an error."""
    with pytest.raises(ValueError):
        timestamps.parse(text)


def test_times_are_printed_in_all_forms() -> None:
    """Each form has nine digits of a second or none, in UTC."""
    at = 1540475929736141000
    forms = (
        timestamps.clock,
        timestamps.clock_seconds,
        timestamps.date_and_clock,
        timestamps.date_and_clock_seconds,
        timestamps.iso8601,
    )
    assert [form(at) for form in forms] == [
        "13:58:49.736141000",
        "13:58:49",
        "2018-10-25 13:58:49.736141000",
        "2018-10-25 13:58:49",
        "2018-10-25T13:58:49.736141000+0000",
    ]


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_times_outside_the_calendar_are_refused(text: str) -> None:
    """An offset that leads out of the years that can be printed is an error when the event is read."""
    with pytest.raises(ValueError, match="outside the calendar"):
        timestamps.parse(text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"])
def test_times_at_the_ends_of_the_calendar_are_printed(text: str) -> None:
    """The first and the last second are told as they were."""
    assert timestamps.iso8601(timestamps.parse(text))[:19] == text[:19]
