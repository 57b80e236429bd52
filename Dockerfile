# syntax=docker/dockerfile:1
# One image a service:  docker build --build-arg SERVICE=booking -t production-tool/booking .
# It runs as nobody in particular, needs no writable file system, and its health is its readiness.
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim-bookworm AS build
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY deploy/local/uv.txt deploy/build.lock ./
RUN pip install --no-cache-dir --require-hashes -r uv.txt && uv venv -q /build \
    && VIRTUAL_ENV=/build uv pip install -q --require-hashes -r build.lock
ARG SERVICE
COPY services/${SERVICE}/requirements.lock ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv venv -q /app && VIRTUAL_ENV=/app uv pip install -q --require-hashes -r requirements.lock
COPY contracts contracts
COPY libs libs
COPY services/${SERVICE} service
RUN for member in contracts libs/servicekit service; do \
      uv build -q --wheel --no-build-isolation --python /build/bin/python --out-dir /wheels $member || exit 1; \
    done && VIRTUAL_ENV=/app uv pip install -q --no-deps --no-index /wheels/*.whl \
    && printf '#!/bin/sh\nexec python -m %s "$@"\n' "${SERVICE}" > /app/bin/service && chmod 755 /app/bin/service
COPY --chmod=755 deploy/healthy /app/bin/healthy

FROM python:${PYTHON_VERSION}-slim-bookworm
ARG SERVICE
LABEL org.opencontainers.image.title="production-tool/${SERVICE}" \
      org.opencontainers.image.description="Production Tool 2.0: the ${SERVICE} service"
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 SERVICE=${SERVICE}
USER 10001:10001
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --start-interval=1s --retries=3 CMD ["healthy"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["service"]
