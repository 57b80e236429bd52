"""The tool ``python -m <service> deadletters``: look at what was put aside, send it again, or give it up."""
