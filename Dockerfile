# The image has the webhook, which is its entrypoint, and the command-line tool, which helm test can run as /kubectl-nrp.
#
# For a release, pin both images by digest, as <image>:<tag>@sha256:<digest>; docker buildx imagetools inspect <image> prints it. The
# same source and the same two digests produce the same binaries.
FROM --platform=$BUILDPLATFORM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w -buildid=" -o /out/ . ./cmd/kubectl-nrp

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/ /
COPY LICENSE THIRD_PARTY_NOTICES /licenses/
USER 65532:65532
ENTRYPOINT ["/node-restriction-plus"]
