# `make run` tries it, `make test` tests everything, `make check` formats and lints.

FUZZTIME ?= 5s
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
BUILD    := -trimpath -ldflags "-s -w"
COREDNS  := -tags grpcnotrace $(BUILD)
SOURCES  := $(shell find cmd control internal plugin -name '*.go' ! -name '*_test.go') $(wildcard internal/httpapi/page/* \
            internal/httpapi/openapi.json) go.mod go.sum
# The servers that the end-to-end tests start are where an ordinary user's PATH may not go.
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: run build test vet unit fuzz e2e bench check deps
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

test: deps vet unit fuzz e2e

# Compiles CoreDNS with the flags of the build, which then finds it in Go's cache.
vet:
	CGO_ENABLED=0 go vet -tags grpcnotrace,e2e -trimpath ./...

# What has all of CoreDNS in it is tested as it is built: compiling that for -race takes longer than all tests.
unit:
	CGO_ENABLED=1 go test -race ./cmd/splusctl ./control/... ./internal/... ./plugin/...
	CGO_ENABLED=0 go test $(COREDNS) ./cmd/coredns

e2e: coredns splusctl
	go test -tags e2e -count 1 -p 1 -parallel 4 -timeout 20m ./e2e/... ./internal/httpapi

# Every fuzz target for a short time; FUZZTIME=10m make fuzz for a long one. Before 1.27 Go may take the end of that time for
# a failure (golang/go#75804), but then it names no input.
fuzz:
	@set -e; for target in $$(grep -rEo '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' cmd control internal plugin | tr -d ' '); do \
		dir=$$(dirname "$${target%%:*}"); name=$${target##*:func}; \
		echo "fuzz ./$$dir $$name"; \
		out=$$(go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x "./$$dir" 2>&1) && \
			{ echo "$$out" | tail -1; continue; }; \
		echo "$$out"; \
		case "$$out" in *"Failing input"*) exit 1;; *"context deadline exceeded"*) ;; *) exit 1;; esac; \
	done

bench:
	go test -run '^$$' -bench . -benchmem ./internal/... ./plugin/...

check: vet
	@unformatted=$$(gofmt -l cmd control e2e internal plugin); test -z "$$unformatted" || { echo "gofmt -w $$unformatted"; exit 1; }
	CGO_ENABLED=0 go run $(GOLANGCI) run --build-tags grpcnotrace,e2e ./...

deps:
	@.ci/deps
