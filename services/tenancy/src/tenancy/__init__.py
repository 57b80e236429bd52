"""Owns tenants, members and the artist roster."""
