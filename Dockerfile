# syntax=docker/dockerfile:1
# `make image` builds this file with docker or buildah (docs/operation.md). The last stage holds the program, the shared libraries
# that it loads, certificates, time zones and busybox, which supplies a shell and the health check; nothing else of BASE.
ARG BASE=debian:bookworm-slim
ARG GO=golang:1.26-bookworm

FROM ${GO} AS go

FROM ${BASE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends busybox-static ca-certificates lld make npm python3-pip tzdata unzip && \
    rm -rf /var/lib/apt/lists/*
COPY --from=go /usr/local/go /usr/local/go
ENV PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin GOTOOLCHAIN=local
# Registries other than the default ones; `make image` passes the settings of go, npm and pip on the host. The secret `ca` holds
# certificates that are trusted during the build only.
ARG GOPROXY
ARG GOSUMDB
ARG GONOSUMDB
ARG NPM_CONFIG_REGISTRY
ARG PIP_INDEX_URL
WORKDIR /src
COPY Makefile go.mod go.sum ./
RUN --mount=type=secret,id=ca,target=/run/secrets/ca \
    if [ -s /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca NODE_EXTRA_CA_CERTS=/run/secrets/ca PIP_CERT=/run/secrets/ca; fi; \
    make deps 'APT_RUN=$(APT_BUILD)' && go mod download
COPY . .
ARG VERSION=dev
# lld leaves out OpenCV's windows, and with them Qt and OpenGL, because it counts only references that are reachable.
RUN make build 'APT_RUN=$(APT_BUILD)' VERSION="$VERSION" EXTLDFLAGS='-fuse-ld=lld -Wl,--gc-sections'
RUN deploy/rootfs.sh /rootfs

FROM scratch
COPY --from=build /rootfs /
ENV PATH=/usr/local/bin:/usr/bin HOME=/var/lib/oodcast HEALTH_URL=http://127.0.0.1:8080/livez
USER 10001:10001
WORKDIR /var/lib/oodcast
VOLUME /var/lib/oodcast
# What configs/docker.yaml opens: page and API, WebRTC media, NATS.
EXPOSE 8080/tcp 8189/udp 4222/tcp
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD wget -q -O /dev/null --no-check-certificate "$HEALTH_URL"
ENTRYPOINT ["oodcast"]
CMD ["run", "--config", "/etc/oodcast/docker.yaml"]
