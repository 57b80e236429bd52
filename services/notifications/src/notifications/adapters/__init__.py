"""What stands outside: Redis, the owners of the streams, Socket.IO."""
