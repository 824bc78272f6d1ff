# The same content as make image, for those who build with a container runtime. The image has the webhook, which is its entrypoint, and
# the command-line tool, which helm test can run as /kubectl-nrp. It has no base image that would need updates: docs/image.md.
#
# For a release, pin the image of Go by digest, as golang:<tag>@sha256:<digest>; docker buildx imagetools inspect <image> prints it.
FROM --platform=$BUILDPLATFORM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY tools/release/go.mod tools/release/go.sum tools/release/
RUN go mod download && go -C tools/release mod download
COPY . .
ARG TARGETOS TARGETARCH
RUN go -C tools/release run . rootfs -C ../.. -o /out -platform $TARGETOS/$TARGETARCH

FROM scratch
COPY --from=build /out/ /
ARG VERSION REVISION CREATED
LABEL org.opencontainers.image.title="node-restriction-plus" \
      org.opencontainers.image.description="Restricts what the credential of a kubelet may write, beyond the NodeRestriction admission plugin" \
      org.opencontainers.image.url="https://noderestriction.plus" \
      org.opencontainers.image.documentation="https://noderestriction.plus/docs/README.md" \
      org.opencontainers.image.source="https://github.com/noderestriction-plus/node-restriction-plus" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="The NodeRestriction-plus Authors" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
USER 65532:65532
ENTRYPOINT ["/node-restriction-plus"]
