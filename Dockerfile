# The image that builds; another one with Go does as well.
ARG GO_IMAGE=golang:1.26
# The platform of the machine that builds, which BuildKit sets. Go builds for other ones itself.
ARG BUILDPLATFORM=linux/amd64

# Build a static binary.
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
ARG GOPROXY
ARG TARGETOS
ARG TARGETARCH
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags=-s -o /esasim ./cmd/esasim \
 && mkdir -p /directories/state /directories/tmp && chmod 1777 /directories/tmp

# The image contains only the binary and directories for its data.
FROM scratch
COPY --from=build /esasim /esasim
# /tmp is in a directory that is copied, because only then it keeps its mode, which a tmpfs in its
# place gets too.
COPY --from=build --chown=65532:65532 /directories /
USER 65532:65532
ENV XDG_STATE_HOME=/state
VOLUME /state
# SSH, FTP, HTTP, HTTPS, SMTP, and the data connections of passive FTP.
EXPOSE 2222 2121 8080 8443 2525 30000-30009
# --all finds the appliance of any topology. If you run it with --data DIR, set ESASIM_SOCKET=DIR.
HEALTHCHECK --interval=30s --timeout=10s --start-period=5s --retries=3 CMD ["/esasim", "health", "--all"]
ENTRYPOINT ["/esasim"]
CMD ["serve", "--ssh", "0.0.0.0:2222", "--ftp", "0.0.0.0:2121", "--http", "0.0.0.0:8080", "--https", "0.0.0.0:8443", "--smtp", "0.0.0.0:2525", "--ftp-passive", "30000-30009"]
