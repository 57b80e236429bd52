"""``python -m local_stack.k8s``: check the manifests, or make what is made of the contracts and of definitions."""

import argparse
import sys
from pathlib import Path

from local_stack.k8s import check, definitions, strimzi
from local_stack.k8s.objects import RenderingError


def _check() -> int:
    failures = list(check.stale())
    for finding in failures:
        print(finding, file=sys.stderr)
    for rendering in check.renderings():
        found = list(check.judge(rendering))
        failures += found
        print(f"{rendering.name}: {len(rendering.objects)} objects, {len(found)} findings")
        for finding in found:
            print(f"  {finding}", file=sys.stderr)
    return 1 if failures else 0


def _definitions(folders: list[Path]) -> int:
    used = {(found["apiVersion"], found["kind"]) for rendering in check.renderings() for found in rendering.objects}
    found = definitions.write(folders, used)
    print(f"{len(found)} schemas: {', '.join(sorted(kind for _, kind in found))}")
    return 0


def main() -> int:
    """Run the command line; 0 where all is well."""
    parser = argparse.ArgumentParser(prog="python -m local_stack.k8s", description=__doc__)
    todo = parser.add_subparsers(dest="job", required=True, metavar="job")
    todo.add_parser("check", help="render everything, and hold it to schemas and policies; needs no cluster")
    todo.add_parser("generate", help="write Strimzi's topics and users anew, from the contracts")
    making = todo.add_parser("definitions", help="condense CustomResourceDefinitions to the schemas that check uses")
    making.add_argument("folders", nargs="+", type=Path, help="folders of operators' definitions, as YAML")
    asked = parser.parse_args()
    try:
        match asked.job:
            case "check":
                return _check()
            case "generate":
                strimzi.write()
                return 0
            case _:
                return _definitions(asked.folders)
    except RenderingError as error:
        print(f"kustomize: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
