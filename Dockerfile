# docker build --build-arg BASE=python:3.11-slim@sha256:<digest> --build-arg GIT_COMMIT=$(git rev-parse HEAD) -t orrery .
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
ENV PATH=/opt/venv/bin:$PATH VIRTUAL_ENV=/opt/venv PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements.lock ./
# The lock names the development tools too; an image that only runs models leaves them behind.
RUN python -m venv /opt/venv \
    && awk '/^[a-z]/ {keep = /^uv==/} keep' requirements.lock > uv.lock \
    && pip install --no-cache-dir --require-hashes --requirement uv.lock \
    && uv pip install --no-cache --require-hashes --requirement requirements.lock \
    && uv pip uninstall mypy pandas-stubs pre-commit pytest pytest-xdist hypothesis ruff types-tqdm types-requests playwright moto
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN uv pip install --no-cache --no-deps . \
    && uv pip uninstall uv

FROM ${BASE}
ARG GIT_COMMIT=unknown
LABEL org.opencontainers.image.title=orrery \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.revision=${GIT_COMMIT}
# libexpat1: GDAL inside the rasterio wheel loads it from the system
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libexpat1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 orrery
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/home/orrery \
    PYTHONUNBUFFERED=1 \
    DVC_NO_ANALYTICS=1 \
    GX_ANALYTICS_ENABLED=false \
    GDAL_PAM_ENABLED=NO \
    GIT_COMMIT=${GIT_COMMIT}
# Runs keep absolute artifact paths, so mount a clone here on every machine.
WORKDIR /workspace
RUN chown orrery:orrery /workspace
USER orrery
ENTRYPOINT ["orrery"]
CMD ["--help"]
