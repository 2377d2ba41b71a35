# `make run` tries it, `make test` tests everything, `make check` formats and lints.

FUZZTIME ?= 2m
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
BUILD    := -trimpath -ldflags "-s -w"
COREDNS  := -tags grpcnotrace $(BUILD)
SOURCES  := $(shell find cmd control internal plugin -name '*.go' ! -name '*_test.go') $(wildcard internal/httpapi/page/* \
            internal/httpapi/openapi.json) go.mod go.sum
# The packages whose tests leave something out under -race.
ALONE    := $(addprefix ./,$(sort $(dir $(shell grep -rlE 'dnstest.Rounds|dnstest.Alone|dnstest.Checks' --include='*_test.go' control internal plugin))))
# The servers that the end-to-end tests start are where an ordinary user's PATH may not go.
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: run build test vet unit race smoke fuzz e2e bench check deps
.NOTPARALLEL:

run: coredns
	@echo "Try:     dig @127.0.0.1 -p 1053 www.example.org   (or kdig)"
	@echo "Page:    http://127.0.0.1:9154/   (or ./splusctl status after make build)"
	@echo "Metrics: curl http://127.0.0.1:9153/metrics | grep secondaryplus"
	@echo "Stop:    Ctrl-C"
	./coredns -conf Corefile.example

build: coredns splusctl

coredns: $(SOURCES)
	CGO_ENABLED=0 go build $(COREDNS) -o $@ ./cmd/coredns

splusctl: $(SOURCES)
	CGO_ENABLED=0 go build $(BUILD) -o $@ ./cmd/splusctl

test: deps vet unit smoke e2e

# Compiles CoreDNS with the flags of the build, which then finds it in Go's cache.
vet:
	CGO_ENABLED=0 go vet -tags grpcnotrace,e2e -trimpath ./...

# What has CoreDNS in it is tested as it is built: compiling that for -race takes longer than all tests, see race. What one
# goroutine computes is tested in full without -race.
unit:
	CGO_ENABLED=1 go test -race -vet=off ./cmd/splusctl ./control/... ./internal/...
	CGO_ENABLED=0 go test $(COREDNS) -vet=off ./cmd/coredns ./plugin/... $(ALONE)

# Everything in which goroutines share memory, among CoreDNS too.
race:
	CGO_ENABLED=1 go test -race ./cmd/splusctl ./control/... ./internal/... ./plugin/...

e2e: coredns splusctl
	go test -tags e2e -count 1 -p 1 -parallel 4 -timeout 20m ./e2e/... ./internal/httpapi

# Every fuzz target for a moment, not guided: ten times as many inputs in the same time, and nothing to compile anew.
smoke:
	.ci/fuzz 2s

# Every fuzz target for FUZZTIME.
fuzz:
	.ci/fuzz $(FUZZTIME) guided

bench:
	go test -run '^$$' -bench . -benchmem ./internal/... ./plugin/...

check: vet
	@unformatted=$$(gofmt -l cmd control e2e internal plugin); test -z "$$unformatted" || { echo "gofmt -w $$unformatted"; exit 1; }
	CGO_ENABLED=0 go run $(GOLANGCI) run --build-tags grpcnotrace,e2e ./...

deps:
	@.ci/deps
