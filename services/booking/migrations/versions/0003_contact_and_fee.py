"""A booking has a contact and a fee.

Why: whom to call about a booking and what it pays. Both are copied as the gateway has sealed them, member by member,
so that a patch of one member merges here without opening any. Null where nothing was said, as in every booking of
before; adding them rewrites nothing.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.execute("alter table bookings add column contact json, add column fee json")


def downgrade() -> None:
    """Drop the columns; the events keep what they said, and a rebuild after the next upgrade brings it back."""
    op.execute("alter table bookings drop column contact, drop column fee")
