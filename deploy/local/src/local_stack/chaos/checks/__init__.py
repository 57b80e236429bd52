"""The checks, a module for each kind of promise: pure functions of a `Story`, each giving one `Finding`."""
