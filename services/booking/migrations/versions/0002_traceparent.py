"""Events say which trace caused them.

Why: a trace goes on from the request over the store to Kafka and the sockets; the relay, which may be another process
at another time, knows of an event only what is stored. Null where nothing was recorded; adding it rewrites nothing.
"""

from alembic import op

from servicekit.schema import add_traceparent

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    for statement in add_traceparent():
        op.execute(statement)


def downgrade() -> None:
    """Forget the traces."""
    op.execute("alter table events drop column traceparent")
