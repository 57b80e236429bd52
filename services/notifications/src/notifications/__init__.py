"""Pushes events to the sockets of their tenant."""
