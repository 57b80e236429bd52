"""The domain: ids, fingerprints, preconditions and preferences; the standard library only."""
