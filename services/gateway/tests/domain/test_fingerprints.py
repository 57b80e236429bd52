"""Fingerprints: the same request, the same fingerprint; any other, another."""

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.fingerprints import Fingerprints, canonical_json

PRINTS = Fingerprints(bytes(32))


@given(st.dictionaries(st.text(), st.none() | st.text(), max_size=5))
def test_the_order_of_members_makes_no_difference(body: dict[str, str | None]) -> None:
    reversed_ = dict(reversed(body.items()))
    assert PRINTS.take("POST", "/v1/bookings", body, None) == PRINTS.take("POST", "/v1/bookings", reversed_, None)
    assert json.loads(canonical_json(body)) == body if all(map(_is_encodable, body)) else True


def _is_encodable(text: str) -> bool:
    return text.isprintable()


def test_each_part_of_a_request_counts() -> None:
    requests = [
        ("POST", "/v1/bookings", {"title": "a"}, None),
        ("PATCH", "/v1/bookings", {"title": "a"}, None),
        ("POST", "/v1/artists", {"title": "a"}, None),
        ("POST", "/v1/bookings", {"title": "b"}, None),
        ("POST", "/v1/bookings", {"title": "a", "venue": None}, None),
        ("POST", "/v1/bookings", {"title": "a", "contact": {}}, None),
        ("POST", "/v1/bookings", {"title": "a", "contact": {"name": None}}, None),
        ("POST", "/v1/bookings", {"title": "a", "fee": {"amount": 1, "currency": "EUR"}}, None),
        ("POST", "/v1/bookings", {"title": "a", "fee": {"amount": 10, "currency": "EUR"}}, None),
        ("POST", "/v1/bookings", {"title": "a"}, '"1"'),
        ("POST", "/v1/bookings", {"title": "a"}, ""),
    ]
    taken = [PRINTS.take(*request) for request in requests]
    assert all(one != other for one, other in itertools.combinations(taken, 2))


def test_a_fingerprint_depends_on_the_key() -> None:
    other = Fingerprints(bytes([1]) * 32)
    assert PRINTS.take("POST", "/", {}, None) != other.take("POST", "/", {}, None)


def test_the_canonical_form_is_that_of_rfc_8785() -> None:
    body = {"b": '\u20ac$\u000f\nA\'B"\\\\"/', "a": [None, True, 0, 10**15 - 1]}
    assert (
        canonical_json(body) == b'{"a":[null,true,0,999999999999999],"b":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
