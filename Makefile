# `make` alone lists the targets. FUZZTIME is the time of each fuzz target; CHAOS is
# -full, -short for three minutes, or -nightly; SOAK how long release keeps one process under load;
# BENCH are the flags of bench, such as -short for a minute.

FUZZTIME ?= 30s
CHAOS    ?= -full
SOAK     ?= 8h
BENCH    ?= -out ../docs/benchmarks
# The packages whose tests mostly wait: for the whole program, a browser, the faults, a database server.
E2E       = $(addprefix github.com/echostr/echostr/,cmd/echostr internal/chaos simulator/page store/postgres)
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.DEFAULT_GOAL := help
.PHONY: help run test e2e race security fuzz corpus sim chaos mutants nightly release bench lint fmt build

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-8s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## start a bot and the simulator; open the address that it prints
	@exec bin/echostr dev

# The stores come first: they wait for the disk while others use the processors.
test: ## run the tests with the race detector, in random order, without those of e2e: three minutes
	@GORACE=atexit_sleep_ms=100 go test -race -shuffle=on $(filter-out $(E2E),$(shell go list ./store/... ./...))

e2e: ## run the tests that start the whole program, a browser, a database server, or faults: four minutes more
	go test -race -shuffle=on $(E2E)

race: ## run all tests three times, which finds more races than once
	go test -race -shuffle=on -count=3 ./...

security: ## run the tests of docs/security.md and count their hostile inputs: 500 at least
	@go test -v -run 'TestS[0-9]' ./... | awk ' \
		/^ *--- FAIL|^FAIL|^panic:/ { print; failed = 1 } \
		/hostile inputs: [0-9]+$$/ { inputs += $$NF } \
		/^--- PASS/ { tests++ } \
		END { printf "%d tests passed, %d hostile inputs\n", tests, inputs; exit failed || tests == 0 || inputs < 500 }'

fuzz: ## run every fuzz target for FUZZTIME (30s)
	@set -e; found=0; \
	for at in $$(grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed -E 's,/[^/]*:func ,:,'); do \
		found=1; echo "== $$at"; \
		go test -run '^$$' -fuzz "^$${at#*:}\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s "$${at%%:*}"; \
	done; \
	test $$found = 1 || { echo "no fuzz target was found" >&2; exit 1; }

corpus: ## keep in git what fuzzing has found: of each target the 20 inputs that were found last, of 1 KiB at most
	@cd "$$(go env GOCACHE)/fuzz/$$(go list -m)" && find . -type d -name 'Fuzz*' | while read -r at; do \
		to="$(CURDIR)/$${at%/*}/testdata/fuzz/$${at##*/}"; mkdir -p "$$to"; \
		find "$$at" -type f -size -1025c -printf '%T@ %p\n' | sort -rn | head -n 20 | cut -d' ' -f2- | xargs -I{} cp {} "$$to"; \
	done

sim: ## run a million messages through internal/turn, a million through callback and simulator, and 300,000 beside deaths
	go test ./internal/turn -run 'TestSimulation$$' -v -timeout 30m -sim.messages 1000000 -sim.seeds 20
	go test ./callback -run 'TestVirtual$$' -v -timeout 60m -virtual.messages 1000000 -virtual.seeds 20
	go test ./callback -run 'TestLives$$' -v -timeout 60m -lives.messages 2000 -lives.seeds 50

chaos: ## break the real server in all the ways that this machine can, about eight minutes
	go build -o bin/wxchaos ./internal/chaos/wxchaos
	bin/wxchaos all $(CHAOS)

mutants: ## break the code on purpose: every mistake must be found, about ten minutes
	go run ./internal/mutants

nightly: ## sim, the faults as often as the promises are measured, and a minute for each fuzz target: hours
	$(MAKE) sim
	$(MAKE) chaos CHAOS="-nightly -seed 1"
	$(MAKE) fuzz FUZZTIME=1m

release: ## before a release: nightly with two more seeds, mutants, the restore drill, and SOAK (8h) of load
	$(MAKE) nightly
	$(MAKE) chaos CHAOS="-nightly -seed 2"
	$(MAKE) chaos CHAOS="-nightly -seed 3"
	$(MAKE) mutants
	go test -count=1 -v -run 'Restore|Backup|OlderSchema' ./store/... ./callback ./cmd/echostr
	bin/wxchaos soak -for $(SOAK)

bench: ## measure everything beside net/http and other libraries, half an hour
	cd bench && go run . $(BENCH)

lint: ## check format, go vet, staticcheck and go.mod
	@bad=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
	test -z "$$bad" || { echo "run make fmt, these files are not formatted:" >&2; echo "$$bad" >&2; exit 1; }
	go vet ./...
	go tool -modfile=tools.mod staticcheck ./...
	go mod tidy -diff
	cd bench && go vet ./... && go tool -modfile=../tools.mod staticcheck ./... && go mod tidy -diff

fmt: ## format all files
	git ls-files -co --exclude-standard '*.go' | xargs go tool -modfile=tools.mod gofumpt -w

build: ## build the static binary bin/echostr
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/echostr ./cmd/echostr
