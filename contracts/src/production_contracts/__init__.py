"""Commands, events, outcomes, REST models and topics of Production Tool."""
