"""The one import rule that import-linter does not bring: a package may import these and nothing else."""

import sys
from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class AllowedImports(Contract):
    """Source packages import themselves, the standard library and the allowed packages; nothing else, not once.

    Configuration:
        - source_packages: whose imports are looked at, subpackages included.
        - allowed_packages: what they may import; their subpackages may be imported too.
    """

    type_name = "allowed"

    source_packages = cast(
        "list[str]", fields.ListField(subfield=fields.StringField())
    )  # what a contract object has there
    allowed_packages = cast("list[str]", fields.ListField(subfield=fields.StringField()))

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 - import-linter's signature
        """Look at each import of each source module."""
        strangers = sorted(
            f"{importer} -> {imported}"
            for package in self.source_packages
            for importer in {package} | graph.find_descendants(package)
            for imported in graph.find_modules_directly_imported_by(importer)
            if not self._may(package, imported)
        )
        return ContractCheck(kept=not strangers, metadata={"strangers": strangers})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name each import that should not be."""
        for stranger in check.metadata["strangers"]:
            output.print_error(f"- {stranger}", bold=False)

    def _may(self, package: str, imported: str) -> bool:
        if imported.split(".", maxsplit=1)[0] in sys.stdlib_module_names:
            return True
        return any(
            imported == allowed or imported.startswith(f"{allowed}.") for allowed in [package, *self.allowed_packages]
        )
