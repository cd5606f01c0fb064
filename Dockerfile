# The base of both stages. A release names it by digest: --build-arg PYTHON_IMAGE=python:3.13-slim-trixie@sha256:...
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /build
# First what rarely changes: each package in the version and with the hash that was tested.
COPY deploy/requirements-build.txt deploy/requirements.txt ./
RUN pip install --require-hashes --only-binary :all: -r requirements-build.txt \
    && python -m venv --without-pip /opt/gallery-gateway \
    && pip --python /opt/gallery-gateway/bin/python install \
        --require-hashes --only-binary :all: --no-compile -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
# Compiled once, without checks of the sources at run time: nothing changes in an image.
RUN pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
    && pip --python /opt/gallery-gateway/bin/python install --no-deps --no-index --no-compile wheels/*.whl \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/gallery-gateway

FROM ${PYTHON_IMAGE}
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="gallery-gateway" \
      org.opencontainers.image.description="A GraphQL gateway over PiktID's gallery" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The process writes nothing, and so it runs on a read-only file system.
ENV PATH=/opt/gallery-gateway/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GALLERY_GATEWAY_HOST=0.0.0.0
COPY --from=build /opt/gallery-gateway /opt/gallery-gateway
# Run one operation, or fail the build. This also compiles the modules of the standard library that the gateway
# uses, which the base has as source only. Then remove everything that installs packages.
RUN PYTHONDONTWRITEBYTECODE='' gallery-gateway demo --once > /dev/null \
    && rm -rf /usr/local/bin/pip* /usr/local/lib/python3.*/site-packages/pip* /usr/local/lib/python3.*/ensurepip
# Empty, and owned by root. Settings are read from `.env` here if one is mounted.
WORKDIR /app
USER 10001:10001
EXPOSE 8000 9464
STOPSIGNAL SIGTERM
# Ignores proxies of the environment, and requests the port that the environment sets.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:%s/livez' % os.environ.get('GALLERY_GATEWAY_PORT', '8000'), timeout=2)"]
ENTRYPOINT ["gallery-gateway"]
CMD ["serve"]
