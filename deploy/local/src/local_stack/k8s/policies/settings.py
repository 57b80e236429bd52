"""Settings: each service starts with what it is told, is told nothing that it does not know, and no secret in clear."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from local_stack.k8s.environments import Variable, environment, ours
from local_stack.k8s.examples import file_for
from local_stack.k8s.objects import Finding, Rendering, title, walk
from local_stack.settings_example import SETTINGS

IN_URLS: Final = {"REDIS_SCHEME", "REDIS_ADDRESS"}
"""Keys of `system` that are no settings: they are put into the URLs of engines."""

_PASSWORD: Final = re.compile(
    r"(?i)(-----BEGIN [A-Z ]*PRIVATE KEY|whsec_\w|sk_(live|test)_\w|://[^/@\s$]*:[^/@\s$]+@"
    r"|\b(password|passwd|secret|token|api_?key)[\"']?\s*[=:]\s*[\"']?[^\s\"'$(){}]{4,})"
)


def settings(rendering: Rendering) -> Iterator[Finding]:
    """Each setting is documented, and set or defaulted to what can be read; nothing else is set."""
    for pod in rendering.pods:
        for name, container in ours(pod):
            model = SETTINGS.get(name)
            if model is None:  # the local issuer: it has arguments, and no settings
                continue
            told = environment(rendering, container)
            mounted = [one["mountPath"] for one in container.get("volumeMounts", []) if one.get("readOnly")]
            for finding in (
                *_told(name, model, told, shared=_shared(rendering)),
                *_unmounted(name, model, told, mounted),
            ):
                yield f"{pod.name}: {container['name']}: {finding}"


def _shared(rendering: Rendering) -> set[str]:
    manifests = [found for found in rendering.of("ConfigMap") if found["metadata"]["name"].startswith("system-")]
    return {key for found in manifests for key in found.get("data", {})}


def _told(name: str, model: type[BaseSettings], told: Mapping[str, Variable], *, shared: set[str]) -> Iterator[Finding]:
    prefix = f"{name}_".upper()
    known = {f"{prefix}{field}".upper(): field for field in model.model_fields}
    of_some = {field.upper() for other in SETTINGS.values() for field in other.model_fields} | IN_URLS
    for variable in sorted(told):
        if variable.startswith(prefix) and variable not in known:
            key = variable.removeprefix(prefix)
            if key not in shared or key not in of_some:
                yield f"{variable} is no setting"
    for variable, field in known.items():
        described = model.model_fields[field]
        if not described.description:
            yield f"{variable} is not documented"
        if variable in told and not described.repr and told[variable].source == "clear":
            yield f"{variable} is secret, and stands in clear"
    yield from _refused(model, told)


def _unmounted(
    name: str, model: type[BaseSettings], told: Mapping[str, Variable], mounted: Sequence[str]
) -> Iterator[Finding]:
    for field in model.model_fields:
        variable = f"{name}_{field}".upper()
        path = told[variable].value if variable in told else ""
        if path.startswith("/") and not any(path.startswith(f"{one}/") for one in mounted):
            yield f"{variable}: {path} is mounted from nowhere"


def _refused(model: type[BaseSettings], told: Mapping[str, Variable]) -> Iterator[Finding]:
    values = {name: variable.value for name, variable in told.items()}
    there = {name: str(file_for(value)) for name, value in values.items() if value.startswith("/")}
    with _environment(values | there):
        try:
            model()
        except ValidationError as error:
            for one in error.errors(include_url=False, include_input=False):
                yield f"{'.'.join(map(str, one['loc'])) or 'settings'}: {one['msg']}"


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Let this process have this environment: settings are read from nowhere else."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def nothing_in_clear(rendering: Rendering) -> Iterator[Finding]:
    """No Secret is rendered, and nothing that is rendered looks like a password, a key or a token."""
    for manifest in rendering.objects:
        if manifest["kind"] == "Secret":
            yield f"{title(manifest)}: a Secret stands in the files"
        for path, value in walk(manifest):
            if isinstance(value, str) and _gives_away(path, value):
                yield f"{title(manifest)}: {path}: looks like a secret in clear"


def _gives_away(path: str, value: str) -> bool:
    # A script and a template say where a secret is put, by a name in `{}` or behind `$`.
    return not path.endswith((".py", ".sh", ".secret")) and _PASSWORD.search(value) is not None
