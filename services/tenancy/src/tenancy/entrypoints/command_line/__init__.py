"""What operators and owners of a tenant run: ``python -m tenancy keys`` and ``python -m tenancy export``."""
