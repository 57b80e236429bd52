"""What an artist has in a month is read by artist, cancelled bookings too.

Why: ``bookings_slots`` holds active bookings only, so the list went by ``idx_bookings_tenant_time``: every booking of
the tenant that begins in a year and a month, as one of up to 366 days may reach into the range. That grows with the
roster and its years. ``bookings_by_artist`` holds the end too, so that what has ended before is passed over within the
index.

The index is built under a lock that writes wait for; on a large table build it beforehand, with the statement below and
``concurrently``: it is left as it is then.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.execute("create index if not exists bookings_by_artist on bookings (artist_id, start_time, end_time)")


def downgrade() -> None:
    """Take the index away."""
    op.execute("drop index bookings_by_artist")
