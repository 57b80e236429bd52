# syntax=docker/dockerfile:1
# One image a service:  make images   or   docker build --build-arg SERVICE=booking -t production-tool/booking .
# It runs as nobody in particular, needs no writable file system, and its health is its readiness. What is in it is what
# the service's lock names, in /app, with a bill of materials; deploy/install says how, and that it is always the same.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ENV BUILD=/build BASE_PYTHON=/usr/local/bin/python
WORKDIR /src
COPY deploy/local/uv.txt deploy/build.lock deploy/
RUN pip install --no-cache-dir --require-hashes -r deploy/uv.txt && uv venv -q /build \
    && VIRTUAL_ENV=/build uv pip install -q --require-hashes -r deploy/build.lock
ARG SERVICE
ARG SOURCE_DATE_EPOCH=315532800
COPY deploy/install deploy/
COPY services/${SERVICE}/requirements.lock services/${SERVICE}/
RUN --mount=type=cache,target=/root/.cache/uv deploy/install locked "${SERVICE}" /app
COPY contracts contracts
COPY libs libs
COPY services/${SERVICE} services/${SERVICE}
COPY deploy/healthy deploy/bytecode deploy/
RUN deploy/install ours "${SERVICE}" /app

FROM ${BASE}
ARG SERVICE
ARG BASE
ARG VERSION=2.0.0
ARG REVISION=unknown
ARG CREATED=1980-01-01T00:00:00Z
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="production-tool/${SERVICE}" \
      org.opencontainers.image.description="Production Tool 2.0: the ${SERVICE} service" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${BASE}" \
      production-tool.sbom="/app/sbom.cdx.json"
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 SERVICE=${SERVICE}
USER 10001:10001
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --start-interval=1s --retries=3 CMD ["healthy"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["service"]
