"""The contract between the parts of Production Tool, and with the teams that read its topics.

Commands, events, outcomes, REST models, problems and topics, as frozen records of pydantic and nothing else, so that
any team can install this package alone. Records only grow: a field is added with a default, never renamed or removed.
"""
