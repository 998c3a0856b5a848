# `make run` and `make test` need only Go, make and git. `make help` lists every target.
SHELL := /bin/bash
GO ?= go
BIN := bin/daemon-proxy
# Flags that `make run` passes to the program.
ARGS ?=
# -race needs a C compiler; without one, the tests run without -race.
RACE := $(shell command -v $${CC:-gcc} >/dev/null 2>&1 && [ "$$($(GO) env GOOS)" = linux ] && echo -race)
.PHONY: run help build test e2e bench fuzz lint docs record man image release fmt clean

run: build ## build and start the program: make run ARGS="--container-name my-sandbox"
	./$(BIN) $(ARGS)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/daemon-proxy, a static binary that contains the small program for containers
	$(GO) run ./deploy/toolbox
	CGO_ENABLED=0 $(GO) build -tags embedded -trimpath -buildvcs=auto -ldflags '-s -w' -o $(BIN) ./cmd/daemon-proxy

test: ## run every test that this machine supports; a skipped test says why
	@[ -n "$(RACE)" ] || echo "no C compiler: testing without -race"
	set -o pipefail; { $(GO) test -json $(RACE) -timeout 20m ./... && $(GO) test -json $(RACE) ./tui -http; } | $(GO) run ./deploy/testreport

e2e: build ## run the end-to-end tests against the real Docker engine, verbosely
	$(GO) test $(RACE) -timeout 20m -count 1 -v ./cmd/... | grep -E '^(=== RUN|--- |\s+--- |ok|FAIL|PASS|panic|\s+.*_test.go)' ; exit $${PIPESTATUS[0]}

bench: build ## measure hot paths against nginx and the standard library's proxy, and the terminal UI against its targets
	$(GO) test -run '^$$' -bench . -benchtime 2s -timeout 30m ./core/... ./tui ./cmd/daemon-proxy

# Executions, not seconds: up to Go 1.26, reaching a time limit can fail a correct fuzzer (go.dev/issue/75804).
FUZZTIME ?= 20000x
fuzz: ## run every fuzzer for FUZZTIME executions
	@set -e; grep -rlE '^func Fuzz' --include='*_test.go' core cmd tui | while read -r f; do \
	  for fn in $$(grep -oE '^func Fuzz[A-Za-z0-9_]+' $$f | cut -d' ' -f2); do \
	    echo "== $$fn ($$(dirname $$f))"; $(GO) test ./$$(dirname $$f) -run '^$$' -fuzz "^$$fn\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x; done; done

lint: ## run golangci-lint v2: go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@latest
	golangci-lint run ./...

man: ## write man pages to dist/man
	$(GO) test -count 1 ./cmd/daemon-proxy -run '^TestManPages$$' -man $(CURDIR)/dist/man

image: build ## build the image daemon-proxy on the local engine
	docker build -f deploy/Dockerfile -t daemon-proxy .

release: ## write archives, checksums and the list of modules to dist/; the same source produces the same bytes
	$(GO) run ./deploy/release -out dist

docs: ## regenerate what comes from the program: keys, golden screens, promises, API, commands, configuration, schema
	$(GO) test ./tui -update
	$(GO) test ./docs -update
	$(GO) test ./core/config -run Current -update
	-$(GO) test ./core/server -run OpenAPI -update
	$(GO) test ./core/server -run OpenAPI
	$(GO) test ./cmd/daemon-proxy -run Manual -update

record: ## record the session in the README (docs/session.svg) and one screen of it as text; needs docker, tmux and port 8080
	$(GO) test -count 1 ./cmd/daemon-proxy -run '^TestRecord$$' -record $(CURDIR)/docs/session.svg

fmt: ## format the code
	golangci-lint fmt ./...

clean: ## remove what was built
	rm -rf bin dist .artifacts core/inside/built
