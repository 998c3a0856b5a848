# The two commands of the README are `make run` and `make test`; they need Go, make and git only.
SHELL := /bin/bash
GO ?= go
BIN := bin/daemon-proxy
# What `make run` passes on: make run ARGS="--container-name my-sandbox"
ARGS ?=
# -race needs a C compiler; without one the tests run without it.
RACE := $(shell command -v $${CC:-gcc} >/dev/null 2>&1 && [ "$$($(GO) env GOOS)" = linux ] && echo -race)
.PHONY: run build test e2e bench fuzz lint docs record man image release fmt clean

run: build ## build and start
	./$(BIN) $(ARGS)

build: ## bin/daemon-proxy, static
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=auto -ldflags '-s -w' -o $(BIN) ./cmd/daemon-proxy

test: ## every test that this machine can run; a skipped one says why
	@[ -n "$(RACE)" ] || echo "no C compiler: testing without -race"
	set -o pipefail; $(GO) test -json $(RACE) -timeout 20m ./... | $(GO) run ./deploy/testreport

e2e: build ## the end-to-end tests against the real Docker engine, said aloud
	$(GO) test $(RACE) -timeout 20m -count 1 -v ./cmd/... | grep -E '^(=== RUN|--- |\s+--- |ok|FAIL|PASS|panic|\s+.*_test.go)' ; exit $${PIPESTATUS[0]}

bench: build ## hot paths, as ratios against nginx and the standard library's proxy in the same run; the terminal UI beside its targets
	$(GO) test -run '^$$' -bench . -benchtime 2s -timeout 30m ./core/... ./tui ./cmd/daemon-proxy

# Executions, not seconds: up to Go 1.26 the end of a time can itself fail a sound fuzzer (go.dev/issue/75804).
FUZZTIME ?= 20000x
fuzz: ## every fuzzer for FUZZTIME
	@set -e; grep -rlE '^func Fuzz' --include='*_test.go' core cmd tui | while read -r f; do \
	  for fn in $$(grep -oE '^func Fuzz[A-Za-z0-9_]+' $$f | cut -d' ' -f2); do \
	    echo "== $$fn ($$(dirname $$f))"; $(GO) test ./$$(dirname $$f) -run '^$$' -fuzz "^$$fn\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x; done; done

lint: ## golangci-lint v2: go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@latest
	golangci-lint run ./...

man: ## man pages in dist/man
	$(GO) test -count 1 ./cmd/daemon-proxy -run '^TestManPages$$' -man $(CURDIR)/dist/man

image: build ## the image daemon-proxy, on the local engine
	docker build -f deploy/Dockerfile -t daemon-proxy .

release: ## archives, checksums and the list of modules in dist/; the same source gives the same bytes
	$(GO) run ./deploy/release -out dist

docs: ## what is made from the program: keys in the README, golden screens, promises, API, commands, configuration
	$(GO) test ./tui -update
	$(GO) test ./docs -update
	-$(GO) test ./core/server -run OpenAPI -update
	$(GO) test ./core/server -run OpenAPI
	$(GO) test ./cmd/daemon-proxy -run Manual -update

record: ## the recorded session of the README, docs/session.svg, and a screen of it as text; needs docker, tmux and the port 8080
	$(GO) test -count 1 ./cmd/daemon-proxy -run '^TestRecord$$' -record $(CURDIR)/docs/session.svg

fmt:
	golangci-lint fmt ./...

clean:
	rm -rf bin dist .artifacts
