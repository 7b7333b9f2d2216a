# One image with all programs; docker-compose.yml says which of them a container runs.
# What the programs are built on: .ci/compose brings an image in which all is compiled already.
ARG GO=golang:1.26-bookworm
FROM $GO AS modules
ARG GOPROXY
ARG GOFLAGS
ENV XDG_CACHE_HOME=/go/cache
WORKDIR /src
# What seldom changes comes first, here and below.
COPY go.mod go.sum ./
# A registry may have a bad moment.
RUN for try in 1 2 3; do go mod download && exit; sleep 5; done; exit 1

# The app's program for packages that hide their secrets, obfuscated: names of packages,
# types and functions, and texts. Only Keyladder's own code is; in the standard library
# there is nothing to find.
FROM modules AS garbled
ARG GOPROXY
ARG GOFLAGS
ENV CGO_ENABLED=0 GOGARBLE=keyladder
# Later versions want a newer Go.
RUN for try in 1 2 3; do go install mvdan.cc/garble@v0.17.0 && exit; sleep 5; done; exit 1
# garble needs a standard library compiled its own way, which takes a minute.
RUN mkdir warm && \
    printf 'package main\n\nimport (\n\t_ "image/png"\n\t_ "net/http"\n)\n\nfunc main() {}\n' >warm/main.go && \
    garble -literals build -o /dev/null ./warm && \
    rm -r warm
COPY . .
RUN garble -literals build -o /out/lib/harbourbank-hidden ./mobileclient/app

FROM modules AS build
ARG GOPROXY
ARG GOFLAGS
# SQLite takes the C compiler half a minute, and longer with debug information.
ENV CGO_ENABLED=1 CGO_CFLAGS=-O2
RUN go build -trimpath github.com/mattn/go-sqlite3
COPY . .
RUN go build -trimpath -ldflags='-s -w' -o /out/bin/ ./backend ./attestsvc ./mobileclient ./admin ./stages && \
    for way in clear none; do \
        CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -tags=secrets_$way -o /out/lib/harbourbank-$way ./mobileclient/app || exit; \
    done

FROM debian:bookworm-slim
# New volumes take their owner from these folders.
RUN install -d -o 65532 -g 65532 -m 0700 \
    /data /data/offline /data/auth /data/lite /data/attestsvc /data/mediator /data/rates /data/resource /data/phone /data/attacker /data/admin
COPY --from=build /out/bin/ /usr/local/bin/
COPY --from=build /out/lib/ /usr/local/lib/keyladder/
COPY --from=garbled /out/lib/ /usr/local/lib/keyladder/
# The programs inside the app's packages: there is no Go toolchain here to build them.
ENV KEYLADDER_APP_PROGRAM_CLEAR=/usr/local/lib/keyladder/harbourbank-clear \
    KEYLADDER_APP_PROGRAM_HIDDEN=/usr/local/lib/keyladder/harbourbank-hidden \
    KEYLADDER_APP_PROGRAM_NONE=/usr/local/lib/keyladder/harbourbank-none
USER 65532:65532
# The deployment is in ./data, where all programs look for it by themselves.
WORKDIR /
