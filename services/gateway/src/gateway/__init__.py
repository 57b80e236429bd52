"""The HTTP front: authenticates, limits, validates, publishes commands, passes on reads."""
