"""Times of events: RFC 3339 text to nanoseconds since 1970, and the forms in which Falco prints them, always in UTC."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1)
_ONE_SECOND = timedelta(seconds=1)
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.,]([0-9]+))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)


def parse(text: str) -> int:
    """Nanoseconds since 1970; ValueError for anything that is not RFC 3339 with a zone, in the years 1 to 9999."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text[:40]}" is not a time like 2026-01-31T12:00:00Z')
    base, fraction, sign, hours, minutes = match.groups()
    moment = datetime.fromisoformat(base)
    if sign:
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        moment = _shifted(moment, -offset if sign == "+" else offset)
    return (moment - _EPOCH) // _ONE_SECOND * _SECOND + (int(fraction[:9].ljust(9, "0")) if fraction else 0)


def clock(time_ns: int) -> str:
    """``13:58:49.730588000``."""
    return f"{_moment(time_ns):%H:%M:%S}.{time_ns % _SECOND:09d}"


def clock_seconds(time_ns: int) -> str:
    """``13:58:49``."""
    return f"{_moment(time_ns):%H:%M:%S}"


def date_and_clock(time_ns: int) -> str:
    """``2018-10-25 13:58:49.730588000``."""
    return f"{date_and_clock_seconds(time_ns)}.{time_ns % _SECOND:09d}"


def date_and_clock_seconds(time_ns: int) -> str:
    """``2018-10-25 13:58:49``."""
    return _moment(time_ns).isoformat(" ")


def iso8601(time_ns: int) -> str:
    """``2018-10-25T13:58:49.730588000+0000``."""
    return f"{_moment(time_ns).isoformat('T')}.{time_ns % _SECOND:09d}+0000"


def _moment(time_ns: int) -> datetime:
    return _EPOCH + timedelta(seconds=time_ns // _SECOND)


def _shifted(moment: datetime, offset: timedelta) -> datetime:
    try:
        return moment + offset
    except OverflowError as error:
        raise ValueError(f"{moment} with its offset is outside the calendar") from error
