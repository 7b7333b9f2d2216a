# One image with all programs; compose.yaml says which of them a container runs.
FROM golang:1.26-bookworm AS build
ARG GOPROXY
ARG GOFLAGS
ENV CGO_ENABLED=1
WORKDIR /src
# What seldom changes comes first: the modules, and SQLite, which takes a C compiler a minute.
COPY go.mod go.sum ./
RUN go mod download && go build -trimpath github.com/mattn/go-sqlite3
COPY . .
RUN go build -trimpath -o /out/bin/ ./backend ./mobileclient ./admin ./stages && \
    CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/lib/harbourbank ./mobileclient/app

FROM debian:bookworm-slim
# New volumes take their owner from these folders.
RUN install -d -o 65532 -g 65532 -m 0700 \
    /data /data/offline /data/resource /data/phone /data/attacker /data/admin
COPY --from=build /out/bin/ /usr/local/bin/
COPY --from=build /out/lib/ /usr/local/lib/keyladder/
# The program inside the app's package: there is no Go toolchain here to build it.
ENV KEYLADDER_APP_PROGRAM=/usr/local/lib/keyladder/harbourbank
USER 65532:65532
WORKDIR /data
