"""Decides bookings, keeps their events and serves their reads."""
