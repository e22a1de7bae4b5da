# One image for both: `relay serve` and `sensor run`. It has no compiler; the BPF object comes built.
FROM debian:trixie-slim AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/outrider
COPY requirements/runtime.txt requirements/build.txt /src/requirements/
RUN /opt/outrider/bin/pip install --no-cache-dir --require-hashes -r /src/requirements/runtime.txt
COPY pyproject.toml README.md LICENSE /src/
COPY condition /src/condition
COPY relay /src/relay
COPY sensor /src/sensor
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes -r /src/requirements/build.txt \
    && /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels /src \
    && /opt/outrider/bin/pip install --no-cache-dir --no-deps /wheels/*.whl \
    && /opt/outrider/bin/pip uninstall --yes pip

FROM debian:trixie-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 libbpf1 ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin outrider \
    && install -d -m 0700 -o outrider -g outrider /var/lib/outrider
COPY --from=build /opt/outrider /opt/outrider
COPY config /etc/outrider
ENV PATH=/opt/outrider/bin:$PATH PYTHONUNBUFFERED=1
USER outrider
WORKDIR /var/lib/outrider
CMD ["relay", "serve", "-c", "/etc/outrider/relay.yaml"]
