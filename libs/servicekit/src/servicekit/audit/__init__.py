"""The audit trail: how it is chained, stored and verified; what an entry says is in `production_contracts.audit`."""
