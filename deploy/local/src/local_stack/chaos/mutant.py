"""``python -m local_stack.chaos.mutant MUTATION SERVICE``: a service that is wrong on purpose.

The mutation is applied where it is of this service; any other is started as it is.
"""

import argparse
import runpy
import sys

from local_stack.chaos.mutations import MUTATIONS
from local_stack.environment import SERVICES


def main() -> None:
    """Apply a mutation to this process, and be the service."""
    parser = argparse.ArgumentParser(prog="python -m local_stack.chaos.mutant", description=__doc__)
    parser.add_argument("mutation", choices=MUTATIONS)
    parser.add_argument("service", choices=SERVICES)
    asked = parser.parse_args()
    mutation = MUTATIONS[asked.mutation]
    if mutation.service == asked.service:
        mutation.apply()
    sys.argv = [asked.service]
    runpy.run_module(asked.service, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
