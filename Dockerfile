# chatlake serve in a container. The lake and the configuration are mounted; the image stores nothing:
#   docker build -t chatlake .
#   docker run --init -v ./config:/config:ro -v chatlake-lake:/lake -e OPENAI_API_KEY chatlake
FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /srv/chatlake && python -m venv /build/tools
COPY requirements-runtime.lock requirements.lock ./
RUN /srv/chatlake/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements-runtime.lock
# The build tools come from the other lock, and stay in this stage.
RUN sed -n '/^setuptools==/,/^    # via/p' requirements.lock >build.lock \
    && /build/tools/bin/pip install --no-cache-dir --no-deps --require-hashes -r build.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /build/tools/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist . \
    && /srv/chatlake/bin/pip install --no-cache-dir --no-deps --no-index dist/*.whl

FROM python:3.13-slim
RUN useradd --create-home --uid 10001 chatlake \
    && install -d -o chatlake -g chatlake /lake /home/chatlake/.prefect
COPY --from=build /srv/chatlake /srv/chatlake
ENV PATH=/srv/chatlake/bin:$PATH \
    CHATLAKE_CONFIG=/config/chatlake.yaml \
    PYTHONUNBUFFERED=1
USER chatlake
WORKDIR /home/chatlake
VOLUME ["/lake", "/home/chatlake/.prefect"]
# Checks that the Prefect server responds: the one of PREFECT_API_URL, or its own. Loopback uses no proxy.
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s \
    CMD ["python", "-m", "chatlake.flows.health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["chatlake"]
CMD ["serve"]
