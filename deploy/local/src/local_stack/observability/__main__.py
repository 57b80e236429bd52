"""``python -m local_stack.observability``: write rules and dashboards anew, or check them."""

import argparse
import sys

from local_stack.observability import check, files
from local_stack.observability.rules import DOCS


def main() -> int:
    """Run the command line; 0 where all is well."""
    parser = argparse.ArgumentParser(prog="python -m local_stack.observability", description=__doc__)
    todo = parser.add_subparsers(dest="job", required=True, metavar="job")
    making = todo.add_parser("generate", help="write the rules of Prometheus and the dashboards of Grafana")
    making.add_argument("--docs", default=DOCS, help="where the documentation is served, for links to runbooks")
    todo.add_parser("check", help="hold queries to what is exported, and files to promtool and haproxy")
    asked = parser.parse_args()
    if asked.job == "generate":
        files.write(asked.docs.rstrip("/"))
        return 0
    try:
        found = list(check.findings())
    except check.CheckerMissingError as error:
        found = [str(error)]
    for finding in found:
        print(finding, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
