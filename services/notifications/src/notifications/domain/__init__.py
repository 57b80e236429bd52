"""Positions and where to go on from: pure decisions."""
