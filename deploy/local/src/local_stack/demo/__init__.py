"""The demo: a story in the terminal against the running system, told with real clients only."""
