"""The past is read from the events, by time and by when bookings start; streams know their last event's time, and ends.

Why: ``as_of`` asks which events had occurred by a moment (``events_by_time``), and lists bookings as they were then, in
order of start (``events_by_start``). What a list filters by is copied out of the events' data by PostgreSQL itself:
under row-level security an expression is no index condition, a column is. Times are text as the contract writes them,
of one width and in UTC: in code point order they are in order of time.

``streams`` keeps when the last event was, so that the next is never earlier, and which tenants are deleted. Those
deleted before this are on the topic only: the roster is read once more from its beginning, which changes nothing else.
An instance of before that still runs would put its offsets back: stop them first.

Adding stored columns writes ``events`` anew, once, under a lock that reads and writes wait for.
"""

from alembic import op

from servicekit.schema import add_standing

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = [
    *add_standing(),
    """
    alter table events
        add column starts text collate "C" generated always as (event_data ->> 'start_time') stored,
        add column ends text collate "C" generated always as (event_data ->> 'end_time') stored,
        add column artist_id uuid generated always as ((event_data ->> 'artist_id')::uuid) stored,
        add column status text generated always as (event_data ->> 'status') stored
    """,
    "create index events_by_time on events (tenant_id, created_at, position)",
    "create index events_by_start on events (tenant_id, starts, aggregate_id, version)",
    "delete from roster_offsets",
]


def upgrade() -> None:
    """Add the columns and indexes."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Refuse: this would forget which tenants are deleted, and let them in again."""
    message = "deleted tenants are not taken back: restore a backup instead"
    raise RuntimeError(message)
