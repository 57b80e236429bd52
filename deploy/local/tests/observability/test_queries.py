"""Queries ask for what is exported; what is exported is seen by somebody; each check bites."""

import pytest

from local_stack.observability import check, queries
from local_stack.observability.exports import exports, stated_values


def test_no_rule_and_no_panel_asks_for_what_nobody_exports() -> None:
    assert list(check.wrong_queries()) == []


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("rate(gateway_requests_lost_total[5m])", "nobody exports gateway_requests_lost_total"),
        ('gateway_requests_in_hand{tenant="acme"}', "gateway_requests_in_hand has no label tenant"),
        ('gateway_refusals_total{result="dropped"}', "gateway_refusals_total never has result=dropped"),
        ('gateway_refusals_total{result=~"lost|dropped"}', "gateway_refusals_total never has result=dropped"),
        ('commands_decision_seconds_bucket{le="3.0"}', "commands_decision_seconds_bucket never has le=3.0"),
        ("sum by (stream) (gateway_requests_in_hand)", "there is no label stream to aggregate by"),
        ("sum by (job) (up) / on (stream) sum by (job) (up)", "there is no label stream to match by"),
        (
            "sum by (job) (up) / sum by (instance) (up)",
            "one side has the labels ['job'], the other ['instance']: they never meet",
        ),
        ("histogram_quantile(0.9, sum by (job) (up))", "a quantile without the label le"),
    ],
)
def test_a_query_that_asks_for_what_is_not_there_is_found(query: str, wrong: str) -> None:
    _, found = queries.look(query, queries.catalogue())
    assert found == [wrong]


def test_a_query_that_is_none_is_found() -> None:
    with pytest.raises(queries.QueryError):
        queries.look("sum by (job (up)", queries.catalogue())


def test_each_metric_is_in_a_panel_or_a_rule_or_is_named_with_a_reason() -> None:
    assert list(check.unseen()) == []


def test_an_exception_that_is_none_is_found() -> None:
    assert list(check.unseen({"relay_leading": "nobody cares"})) == [
        "relay_leading is named as unshown, and is shown or is not there"
    ]


def test_values_of_labels_are_read_from_where_they_are_counted() -> None:
    told = stated_values()
    assert told["gateway_refusals_total", "result"] == {"published", "lost"}
    assert told["notifications_resumes_total", "start"] == {"head", "behind", "resync"}
    assert ("http_requests_total", "status") not in told, "no place that counts states it"


def test_a_histogram_has_the_series_that_queries_name() -> None:
    assert exports()["commands_decision_seconds"].series.keys() == {
        "commands_decision_seconds_bucket",
        "commands_decision_seconds_count",
        "commands_decision_seconds_sum",
    }
