# Everything here needs Go and nothing else; `make test` fetches az and the
# SDKs for Python, JavaScript and Java from their registries into
# ${POSTERN_CACHE:-~/.cache/postern}, and uses python3, node, javac, mvn and
# openssl.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

DATA        ?= ./data
FUZZTIME    ?= 10s
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.8.0

# The packages whose tests are also run under the race detector: those that
# hold locks, goroutines or atomic pointers.
RACY := ./internal/admission/... ./internal/entra/... ./internal/estate/... ./internal/journal/... \
	./internal/dns/... ./internal/perimeter/... ./internal/server/... ./internal/store/... ./internal/connect/... ./internal/vantage/... ./internal/throttle/... ./internal/upkeep/... ./internal/enrollment/... ./internal/keyring/... ./internal/issuance/acme/...

# What is checked and what is run: a name and a command each, for bin/tally.
CHECKS := 'go vet: .ci/check vet' 'gofmt: .ci/check gofmt' \
	'staticcheck: .ci/check staticcheck' 'govulncheck: .ci/check govulncheck'
TESTS := 'build: $(MAKE) --no-print-directory build' \
	'product: go test -json ./...' \
	'races: .ci/races $(RACY)' \
	'clients: POSTERN_BIN=$$PWD/bin/postern go -C conformance test -json -count 1 -timeout 30m ./...' \
	'libraries: POSTERN_BIN=$$PWD/bin/postern go -C conformance/ecosystem test -json -count 1 -timeout 30m ./libraries/...'
PROGRAMS := 'programs: POSTERN_BIN=$$PWD/bin/postern go -C conformance/ecosystem test -json -count 1 -timeout 120m ./programs/...'

export STATICCHECK GOVULNCHECK FUZZTIME

.PHONY: build run test test-fast test-ecosystem bench fuzz check ci tidy clean

# Builds bin/postern.
build:
	@go build -trimpath -ldflags=-s\ -w -o bin/postern ./cmd/postern

# Runs a server with something to try things on.
run: build
	@exec bin/postern serve --data "$(DATA)" --demo

# Runs all tests of both modules, the real clients among them, and ends
# with one line: how many passed and failed. The clients always run anew: a
# cached result would not know that the server has changed.
test: bin/tally
	@bin/tally $(TESTS)

# Runs the product's own tests.
test-fast: bin/tally
	@bin/tally 'product: go test -json ./...'

# Runs sops, cosign and vals, which are built into the cache the first time:
# ten minutes or more.
test-ecosystem: build bin/tally
	@bin/tally $(PROGRAMS)

# Measures: the table of ratios, the packages' benchmarks, a thousand rounds
# of kill -9, and the searches over random estates at their full size.
bench: build
	@go run ./bench -postern bin/postern
	@go test -run '^$$' -bench . -benchmem -timeout 60m ./...
	@POSTERN_KILL_ROUNDS=1000 go test -count 1 -run '^TestKill$$' -v -timeout 60m ./internal/journal
	@POSTERN_ESTATES=1000000 go test -count 1 -run '^TestDecideIsWhatTheDocumentsSay$$' -v -timeout 60m ./access
	@POSTERN_WHO_ESTATES=100000 go test -count 1 -run '^TestComplete$$' -v -timeout 60m ./internal/posture/who

# Runs every fuzz target for FUZZTIME.
fuzz:
	@.ci/fuzz

# Looks at the code: go vet, gofmt, staticcheck, govulncheck.
check: bin/tally
	@bin/tally $(CHECKS)

# check and test with one last line for both: what .ci/run runs.
ci: bin/tally
	@bin/tally $(CHECKS) $(TESTS)

# Brings the files of two modules up to date. The third, conformance/ecosystem,
# is kept by go get: tidy wants modules that others need for their tests.
tidy:
	@go mod tidy
	@go -C conformance mod tidy

clean:
	@rm -rf bin

bin/tally: conformance/tally/*.go
	@go -C conformance build -o ../bin/tally ./tally
