"""Try to reach every service and engine as a pod that is not in the picture; 1 where one of them can be reached."""

import socket
import sys
from typing import Final

DOORS: Final = (
    ("gateway", 8000),
    ("notifications", 8001),
    ("booking", 8002),
    ("tenancy", 8003),
    ("issuer", 8090),
    ("kafka", 9092),
    ("kafka", 19092),
    ("redis", 6379),
    ("booking-db", 5432),
    ("booking-postgres-rw", 5432),
    ("tenancy-db", 5432),
    ("tenancy-postgres-rw", 5432),
    ("kubernetes.default", 443),
)


def reaches(name: str, port: int) -> bool:
    """Tell whether a connection is taken; the name must be known, or nothing would be shown."""
    address = socket.gethostbyname(name)
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True


def main() -> int:
    """Try each door, and tell."""
    found = [f"{name}:{port}" for name, port in DOORS if reaches(name, port)]
    sys.stdout.write(f"reached: {', '.join(found) or f'none of {len(DOORS)}'}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
