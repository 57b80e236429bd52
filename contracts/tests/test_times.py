"""Times as the contract takes and gives them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from production_contracts.times import (
    EARLIEST,
    LATEST,
    LONGEST,
    Timestamp,
    check_range,
    format_timestamp,
    parse_timestamp,
    truncate_to_milliseconds,
)

TIMESTAMP = TypeAdapter(Timestamp)

offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(
    min_value=datetime(1900, 1, 2),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2200, 12, 30),  # noqa: DTZ001 - the same
    timezones=offsets,
).map(truncate_to_milliseconds)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2027-05-08T20:00:00Z", "2027-05-08T20:00:00.000Z"),
        ("2027-05-08T20:00:00.5Z", "2027-05-08T20:00:00.500Z"),
        ("2027-05-08T20:00:00.25+00:00", "2027-05-08T20:00:00.250Z"),
        ("2027-05-08T20:00:00.123-00:00", "2027-05-08T20:00:00.123Z"),
        ("2027-05-08T22:00:00+02:00", "2027-05-08T20:00:00.000Z"),
        ("2027-05-09T01:45:00+05:45", "2027-05-08T20:00:00.000Z"),
        ("2027-01-01T00:00:00-23:59", "2027-01-01T23:59:00.000Z"),
        ("2028-02-29T00:00:00Z", "2028-02-29T00:00:00.000Z"),
        ("1900-01-01T00:00:00Z", "1900-01-01T00:00:00.000Z"),
        ("2200-12-31T23:59:59.999Z", "2200-12-31T23:59:59.999Z"),
    ],
)
def test_a_time_with_an_offset_is_read_and_comes_back_in_utc_with_milliseconds(written: str, meant: str) -> None:
    assert TIMESTAMP.dump_json(TIMESTAMP.validate_json(f'"{written}"')) == f'"{meant}"'.encode()


@pytest.mark.parametrize(
    "written",
    [
        "2027-05-08T20:00:00",  # no offset
        "2027-05-08 20:00:00Z",  # a space for T
        "2027-05-08t20:00:00z",
        "2027-05-08T20:00Z",
        "2027-05-08",
        "20270508T200000Z",
        "2027-W18-6T20:00:00Z",
        "2027-05-08T20:00:00.0001Z",  # finer than milliseconds
        "2027-05-08T20:00:00.Z",
        "2027-05-08T20:00:00,5Z",
        "2027-05-08T20:00:00+0200",
        "2027-05-08T20:00:00+02",
        "2027-05-08T20:00:00+01:99",  # there is no such offset
        "2027-05-08T20:00:00+24:00",
        "2027-05-08T20:00:00+02:00:30",
        "2027-05-08T23:59:60Z",  # leap seconds are not told apart here
        "2027-05-08T24:00:00Z",
        "2027-05-08T20:60:00Z",
        "2027-02-29T20:00:00Z",
        "2027-13-01T20:00:00Z",
        "2027-00-01T20:00:00Z",
        "1899-12-31T23:59:59.999Z",
        "2201-01-01T00:00:00Z",
        "2200-12-31T23:59:59-00:01",  # in 2201, in UTC
        "1900-01-01T00:00:00+00:01",  # in 1899, in UTC
        "0001-01-01T00:00:00+10:00",
        "9999-12-31T23:59:59-10:00",
        " 2027-05-08T20:00:00Z",
        "2027-05-08T20:00:00Z\n",
        "+2027-05-08T20:00:00Z",
        "٢٠٢٧-05-08T20:00:00Z",
        "now",
        "",
    ],
)
def test_what_is_no_rfc_3339_time_of_ours_is_refused_and_not_mended(written: str) -> None:
    with pytest.raises(ValueError, match="time"):
        parse_timestamp(written)


@pytest.mark.parametrize("value", [0, 1809892800, 1809892800.5, True, None, [], {}, b"2027-05-08T20:00:00Z"])
def test_a_time_that_is_not_text_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        TIMESTAMP.validate_python(value)


def test_a_moment_of_python_needs_an_offset_and_at_most_milliseconds() -> None:
    with pytest.raises(ValueError, match="offset"):
        parse_timestamp(datetime(2027, 5, 8))  # noqa: DTZ001 - on purpose
    with pytest.raises(ValueError, match="milliseconds"):
        parse_timestamp(datetime(2027, 5, 8, microsecond=1, tzinfo=UTC))
    with pytest.raises(ValueError, match="no such time"):
        parse_timestamp(datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-23))))


@given(moments)
def test_a_moment_written_is_read_as_the_same_moment(moment: datetime) -> None:
    assert parse_timestamp(format_timestamp(moment)) == moment
    assert parse_timestamp(moment) == moment
    assert parse_timestamp(moment).tzinfo is UTC


@given(
    st.text(max_size=40) | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)?", fullmatch=True)
)
def test_any_text_is_a_time_within_the_range_or_a_value_error(written: str) -> None:
    try:
        moment = parse_timestamp(written)
    except ValueError:
        return
    assert EARLIEST <= moment <= LATEST
    assert moment.microsecond % 1000 == 0


@given(moments, moments)
def test_written_times_sort_as_the_moments_do(one: datetime, other: datetime) -> None:
    assert (format_timestamp(one) < format_timestamp(other)) == (one < other)


def test_a_range_is_not_empty_not_reversed_and_at_most_366_days_long() -> None:
    start = datetime(2027, 5, 8, tzinfo=UTC)
    check_range(start, start + LONGEST)
    check_range(start, start + timedelta(milliseconds=1))
    with pytest.raises(ValueError, match="before"):
        check_range(start, start)
    with pytest.raises(ValueError, match="before"):
        check_range(start, start - timedelta(hours=1))
    with pytest.raises(ValueError, match="366"):
        check_range(start, start + LONGEST + timedelta(milliseconds=1))
