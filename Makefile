# `make run` tries it, `make test` tests everything, `make check` formats and lints.

FUZZTIME ?= 5s
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
PACKAGES := ./plugin/... ./cmd/...
SOURCES  := $(shell find cmd plugin -name '*.go' ! -name '*_test.go') go.mod go.sum
# The servers that the end-to-end tests start are where an ordinary user's PATH may not go.
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: run build test vet unit fuzz e2e bench check deps
.NOTPARALLEL:

run: coredns
	@echo "Try:     dig @127.0.0.1 -p 1053 www.example.org   (or kdig)"
	@echo "Metrics: curl http://127.0.0.1:9153/metrics | grep secondaryplus"
	@echo "Stop:    Ctrl-C"
	./coredns -conf Corefile.example

build: coredns

coredns: $(SOURCES)
	CGO_ENABLED=0 go build -tags grpcnotrace -trimpath -ldflags "-s -w" -o coredns ./cmd/coredns

test: deps vet unit fuzz e2e

# Compiles CoreDNS with the flags of the build, which then finds it in Go's cache.
vet:
	CGO_ENABLED=0 go vet -tags grpcnotrace,e2e -trimpath ./...

unit:
	CGO_ENABLED=1 go test -race $(PACKAGES)

e2e: coredns
	go test -tags e2e -count 1 -parallel 4 -timeout 20m ./e2e/...

# Every fuzz target for a short time; FUZZTIME=10m make fuzz for a long one.
fuzz:
	@set -e; for target in $$(grep -rEo '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' plugin | tr -d ' '); do \
		dir=$$(dirname "$${target%%:*}"); name=$${target##*:func}; \
		echo "fuzz ./$$dir $$name"; go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x "./$$dir"; \
	done

bench:
	go test -run '^$$' -bench . -benchmem ./plugin/...

check: vet
	@unformatted=$$(gofmt -l cmd plugin e2e); test -z "$$unformatted" || { echo "gofmt -w $$unformatted"; exit 1; }
	CGO_ENABLED=0 go run $(GOLANGCI) run --build-tags grpcnotrace,e2e ./...

deps:
	@.ci/deps
