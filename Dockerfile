# One image for all services and the orchestrator: they share torch's layers, the command chooses.
#
#   docker compose build
#
# A wheel of torch in the folder wheels/ (its CPU build, say) is taken instead of the CUDA build.

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
RUN command -v make >/dev/null || \
    (apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*)
WORKDIR /app
COPY wheel[s] /wheels/
COPY Makefile requirements.txt ./
ENV PIP_FIND_LINKS=/wheels
RUN --mount=type=cache,target=/root/.cache/pip make VENV=/opt/venv /opt/venv/.libraries
COPY pyproject.toml README.md LICENSE ./
COPY protocol protocol
COPY services services
COPY orchestrator orchestrator
COPY miniatures miniatures
RUN make VENV=/opt/venv /opt/venv/.installed

FROM ${BASE}
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    XDG_RUNTIME_DIR=/run/bus GLASSHOUSE_SHM=/run/slots XDG_CONFIG_HOME=/tmp HOME=/tmp
USER 10001:10001
WORKDIR /work
CMD ["orchestrator", "--help"]
