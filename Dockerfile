# syntax=docker/dockerfile:1
# Two stages on Debian bookworm. The build steps are make targets that also run without Docker.
#   docker build -t oodcast .
#   docker run --rm -p 8080:8080 -p 8189:8189/udp -e OODCAST_PREVIEW__TOKEN=… oodcast run --config /etc/oodcast/docker.yaml --source rtsp://…

FROM golang:1.26-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends make npm && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum Makefile ./
RUN make deps && go mod download
COPY . .
RUN make build

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
      ca-certificates libopencv-contrib406 libopencv-video406 libopencv-videoio406 libopencv-calib3d406 \
      libopencv-objdetect406 libopencv-dnn406 libopencv-photo406 libopencv-stitching406 libopencv-highgui406 \
      libavformat59 libavcodec59 libswscale6 libvpx7 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/oodcast oodcast
COPY --from=build /src/bin/oodcast /src/bin/libonnxruntime.so.1 /usr/local/lib/oodcast/
RUN ln -s /usr/local/lib/oodcast/oodcast /usr/local/bin/oodcast
COPY configs/*.yaml /etc/oodcast/
USER oodcast
WORKDIR /var/lib/oodcast
EXPOSE 8080/tcp 8189/udp 4222/tcp
ENTRYPOINT ["oodcast"]
CMD ["run", "--config", "/etc/oodcast/docker.yaml"]
