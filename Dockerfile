# Two stages: wheels are built where compilers may be, the service runs where they are not.
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md ebbtide.py ./
COPY api api
COPY models models
COPY training training
RUN python -m venv /opt/ebbtide \
 && /opt/ebbtide/bin/pip install --no-cache-dir --constraint constraints.txt '.[postgres]'

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/ebbtide ebbtide \
 && mkdir -p /var/lib/ebbtide/artefacts /var/lib/ebbtide/data \
 && chown -R ebbtide:ebbtide /var/lib/ebbtide
COPY --from=build /opt/ebbtide /opt/ebbtide
ENV PATH=/opt/ebbtide/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    EBBTIDE_ARTIFACTS=/var/lib/ebbtide/artefacts \
    EBBTIDE_DATABASE_URL=sqlite:////var/lib/ebbtide/data/ebbtide.db
USER ebbtide
WORKDIR /var/lib/ebbtide
VOLUME ["/var/lib/ebbtide"]
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["ebbtide", "serve", "--host", "0.0.0.0", "--port", "8000"]
