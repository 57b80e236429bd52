"""The audit trail.

Why: every operation, accepted or refused, is on record for its tenant, chained so that whoever changes, removes or
inserts an entry shows, the owner of the tables included. It begins where each tenant's stream stands; what is of before
has its events and outcomes, and no entry. Instances of the version before decide nothing any more once this has run:
what they try comes again until instances of this one take over.
"""

from alembic import op

from servicekit.schema import audit_trail

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SERVICE_ROLE = "tenancy_service"


def upgrade() -> None:
    """Begin the trail."""
    for statement in audit_trail(SERVICE_ROLE):
        op.execute(statement)


def downgrade() -> None:
    """Refuse: a trail that could be dropped and begun anew would prove nothing."""
    message = "the audit trail is not taken back; to let the version before decide again, drop outcome_is_audited"
    raise RuntimeError(message)
