"""Verify a tenant's audit trail without trusting us, and keep its heads. Python's standard library is enough.

python verify_audit.py "$(make -s token TENANT=acme ROLE=admin USER=ana)"
"""

import hashlib
import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

URL = "http://127.0.0.1:8000"
STATE = Path("audit.json")  # the heads that we have seen: keep it where whoever runs the system can't change it


def get(path: str) -> Any:  # noqa: ANN401 - JSON
    """Read from the API."""
    request = urllib.request.Request(URL + path, headers={"Authorization": f"Bearer {sys.argv[1]}"})  # noqa: S310 - the address above
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - the address above
        return json.load(response)


def canonical(value: Any) -> bytes:  # noqa: ANN401 - JSON
    """Write JSON in the one form that is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def verify(stream: str, tenant: str, kept: dict[str, str]) -> tuple[int, str]:
    """Follow the chain from its begin; gives where it ends. Ends the program where a digest does not follow."""
    sequence, digest = 0, b""
    while True:
        page = get(f"/v1/audit?stream={stream}&after={sequence}&limit=500")
        if not sequence:
            begin = {"stream": stream, "tenant_id": tenant, "position": page["begins_at"]}
            digest = hashlib.sha256(canonical(begin)).digest()
        for entry in page["items"]:
            stated = entry.pop("digest")
            sequence += 1
            digest = hashlib.sha256(digest + canonical(entry)).digest()
            if (entry["sequence"], stated) != (sequence, digest.hex()):
                sys.exit(f"{stream}: entry {sequence} is not what was chained")
            if kept.get(str(sequence), stated) != stated:
                sys.exit(f"{stream}: entry {sequence} is not the one that we have seen: the trail was written anew")
        if not page["items"]:
            if any(int(seen) > sequence for seen in kept):
                sys.exit(f"{stream}: it ends at {sequence}, and we have seen more: it was cut off")
            return sequence, digest.hex()


heads: dict[str, dict[str, str]] = json.loads(STATE.read_text()) if STATE.exists() else {}
tenant_id = get("/v1/tenant")["id"]
for name in ("booking", "tenancy"):
    last, head = verify(name, tenant_id, heads.get(name, {}))
    print(f"{name}: {last} entries, as they were written")
    if last:
        heads.setdefault(name, {})[str(last)] = head
STATE.write_text(json.dumps(heads, indent=2))
