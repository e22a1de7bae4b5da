# One image for both: `relay serve` and `sensor run`. It has no compiler; the BPF object comes built.
FROM debian:trixie-slim AS base
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libbpf1 python3 \
    && rm -rf /var/lib/apt/lists/*

FROM base AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/outrider && python3 -m venv /opt/build
COPY requirements/runtime.txt requirements/build.txt /src/requirements/
RUN /opt/outrider/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r /src/requirements/runtime.txt \
    && /opt/build/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r /src/requirements/build.txt
COPY pyproject.toml README.md LICENSE /src/
COPY condition /src/condition
COPY relay /src/relay
COPY sensor /src/sensor
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels /src \
    && /opt/outrider/bin/pip install --no-cache-dir --no-deps /wheels/*.whl \
    && /opt/outrider/bin/pip uninstall --yes pip

FROM base
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin outrider \
    && install -d -m 0700 -o outrider -g outrider /var/lib/outrider
COPY --from=build /opt/outrider /opt/outrider
# Where the commands look for it when no -c says otherwise.
COPY config/compose /opt/outrider/config
COPY config/rules /opt/outrider/config/rules
ENV PATH=/opt/outrider/bin:$PATH PYTHONUNBUFFERED=1
USER outrider
WORKDIR /opt/outrider
CMD ["relay", "serve"]
