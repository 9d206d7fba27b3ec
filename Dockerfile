# The image of every Ray node and job. CPU:  docker build --target cpu -t qstore-ray:cpu .
#                                      GPU:  docker build --target gpu -t qstore-ray:gpu .
ARG PYTHON_IMAGE=python:3.11.13-slim-bookworm

# -------------------------------------------------------------------- the package, with its kernels
FROM ${PYTHON_IMAGE} AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements-uv.lock requirements-build.lock ./
RUN python -m venv /build \
    && /build/bin/pip install --no-cache-dir --require-hashes -r requirements-uv.lock \
    && /build/bin/uv pip install --no-cache --python /build/bin/python --require-hashes -r requirements-build.lock \
    && python -m venv --without-pip /opt/venv
COPY pyproject.toml MANIFEST.in README.md LICENSE ./
COPY qstore_ray qstore_ray
# The kernels are optional in pyproject.toml; an image without them would be slow without a word.
RUN /build/bin/uv build --no-cache --wheel --no-build-isolation --python /build/bin/python --out-dir /wheels . \
    && /build/bin/python -m zipfile -l /wheels/*.whl | grep '_kernels.*\.so'

# ------------------------------------------------------------------------------- the locked packages
FROM build AS cpu-packages
COPY requirements-cpu.lock ./
RUN /build/bin/uv pip install --no-cache --compile-bytecode --python /opt/venv/bin/python --require-hashes -r requirements-cpu.lock \
    && /build/bin/uv pip install --no-cache --compile-bytecode --python /opt/venv/bin/python --no-deps /wheels/*.whl

FROM build AS gpu-packages
COPY requirements-gpu.lock ./
RUN /build/bin/uv pip install --no-cache --compile-bytecode --python /opt/venv/bin/python --require-hashes -r requirements-gpu.lock \
    && /build/bin/uv pip install --no-cache --compile-bytecode --python /opt/venv/bin/python --no-deps /wheels/*.whl

# ------------------------------------------------------------ what runs: no compiler, no uv, no root
FROM ${PYTHON_IMAGE} AS runtime
# KubeRay's health checks call wget.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home --shell /bin/bash qstore
COPY jobs /opt/qstore/jobs
COPY --chmod=0755 clusters/qstore-resume /usr/local/bin/qstore-resume
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/home/qstore \
    PYTHONUNBUFFERED=1 \
    RAY_USAGE_STATS_ENABLED=0
WORKDIR /home/qstore
USER 1000:1000

FROM runtime AS gpu
COPY --from=gpu-packages /opt/venv /opt/venv

FROM runtime AS cpu
COPY --from=cpu-packages /opt/venv /opt/venv
