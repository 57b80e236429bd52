"""Each migration only expands: what of it does not, or locks for long, is named here with what holds meanwhile."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.upgrade.expansion import LEFT_OUT, STOPS, complaints, migrations, said

from local_stack.environment import WITH_DATABASE


@dataclass(frozen=True, kw_only=True)
class Named:
    """A rule that a migration breaks: why it must, and what holds for instances of before; where that is tested."""

    why: str
    holds: str


_STREAMS = Named(
    why="a check on streams, of which there is one row a tenant",
    holds="reading them takes milliseconds; decisions wait for that",
)
_TRAIL = Named(
    why="an outcome without an entry in the audit trail must not be possible (decision 0075)",
    holds="an instance of before decides nothing, loses nothing, and waits: tests/upgrade/test_old_beside_new.py",
)
_REWRITE = Named(
    why="under row-level security a stored column is an index condition, an expression is not (decision 0080)",
    holds="events are written anew once, all wait meanwhile: docs/how-to/upgrade.md",
)
NAMED: dict[tuple[str, str], dict[str, Named]] = {
    ("booking", "0004"): {"constraint-missing-not-valid": _STREAMS, "adds-trigger": _TRAIL},
    ("booking", "0005"): {
        "adding-field-with-default": _REWRITE,
        "require-concurrent-index-creation": _REWRITE,
        "deletes-rows": Named(
            why="the roster is read once more from its beginning, to learn which tenants are deleted",
            holds="an instance of before would put its offsets back: it decides nothing (0004), and is stopped first",
        ),
    },
    ("booking", "0006"): {
        "require-concurrent-index-creation": Named(
            why="a migration is one transaction, which an index built concurrently is not for",
            holds="on a large table the same index is built concurrently beforehand, and left as it is: "
            "docs/how-to/upgrade.md",
        ),
    },
    ("tenancy", "0002"): {"constraint-missing-not-valid": _STREAMS},
    ("tenancy", "0005"): {"constraint-missing-not-valid": _STREAMS, "adds-trigger": _TRAIL},
}
"""By service and revision. Nothing is contracted so far: what is to go is named with the release that it goes in."""

CASES = [(service, file.name.partition("_")[0], file) for service in WITH_DATABASE for file in migrations(service)]


@pytest.mark.parametrize(("service", "revision", "file"), CASES, ids=lambda value: str(value)[-40:])
def test_a_migration_expands_but_for_what_is_named(
    service: str, revision: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = complaints(said(file, monkeypatch))
    assert found == NAMED.get((service, revision), {}).keys(), "mend it, or name it with what holds meanwhile"


def test_what_is_named_is_there() -> None:
    assert NAMED.keys() <= {(service, revision) for service, revision, _ in CASES}
    assert all(named.why and named.holds for rules in NAMED.values() for named in rules.values())
    assert not LEFT_OUT.keys() & {rule for rules in NAMED.values() for rule in rules}


@pytest.mark.parametrize(
    "statement",
    [
        "alter table bookings drop column notes",
        "alter table bookings rename column notes to remarks",
        "alter table bookings rename to gigs",
        "alter table bookings alter column version type bigint",
        "alter table bookings alter column venue set not null",
        "alter table bookings add column price integer not null",
        "alter table bookings add constraint short check (length(title) < 100)",
        "alter table bookings add constraint one unique (tenant_id, title)",
        "create index slow on bookings (title)",
        "drop table roster_offsets",
        "drop index bookings_slots",
        "drop trigger outcome_is_audited on command_log",
        "alter policy tenants_in_hand on bookings using (true)",
        "revoke update on bookings from booking_service",
        "truncate roster_offsets",
        "create trigger stop before insert on events execute function stop()",
    ],
)
def test_what_instances_of_before_cannot_bear_is_found(statement: str) -> None:
    assert complaints([statement])


@pytest.mark.parametrize(
    "statement",
    [
        "alter table bookings add column price bigint",
        "alter table bookings add column paid boolean not null default false",
        "create table invoices (id uuid primary key, tenant_id uuid not null)",
        "grant select on bookings to booking_service",
    ],
)
def test_what_only_expands_is_let_through(statement: str) -> None:
    assert complaints([statement]) == set()


def test_each_rule_of_ours_has_an_example() -> None:
    """As `test_what_instances_of_before_cannot_bear_is_found`, rule by rule."""
    examples = {
        "adds-trigger": "create constraint trigger t after insert on events",
        "deletes-rows": "delete from leases",
        "revokes": "revoke all on events from booking_service",
        "drops": "drop function f",
        "changes-policy": "drop policy tenants_in_hand on events",
    }
    assert examples.keys() == STOPS.keys()
    assert {name: bool(like.search(examples[name])) for name, like in STOPS.items()} == dict.fromkeys(STOPS, True)
