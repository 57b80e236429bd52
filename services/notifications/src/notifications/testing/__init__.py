"""For tests: the ports in memory, a stage for hubs, and waiting without sleeping."""
