# The project's tasks. `make help` lists them.

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 20s
DURATION ?= 5m
SEED     ?= 0
TESTS    ?= ./...

LDFLAGS  := -s -w -X main.version=$(VERSION)
LINTER   := .cache/bin/golangci-lint

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: go ## Build the two static binaries into bin/, with links to one by the names of Flocker's own programs
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...
	for name in flockerctl flocker-volumes flocker-ca; do ln -sf flocker bin/$$name; done

.PHONY: demo
demo: go needs-demo ## Play the whole story on two nodes made on this machine (root)
	@echo "Building the demo; the first time takes a minute or two."
	$(GO) run ./test/demo

# One package at a time: a mount namespace that one test makes keeps a copy of
# what another has mounted, and its device busy.
.PHONY: test
test: go needs-test build consul machines flocker-go ## Run all tests with the race detector (root: they use real devices)
	@echo "Running the tests, one package after the other; the first build with the race detector takes some minutes."
	$(GO) test -race -p 1 -timeout 20m $(TESTS)

.PHONY: lint
lint: go $(LINTER) ## Check the code's form, and who imports whom
	$(LINTER) run ./...
	$(LINTER) run --build-tags faults ./...

.PHONY: bench
bench: go needs build consul ## Measure against floors, in one run
	$(GO) run ./bench

.PHONY: fuzz
fuzz: go ## Run each fuzz target for FUZZTIME (20s)
	@grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's/:func /:/' | while IFS=: read -r file name; do \
		echo "$$name in $$(dirname $$file)"; \
		$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "./$$(dirname $$file)" || exit 1; \
	done

.PHONY: chaos
chaos: go needs consul ## Run a cluster under faults for DURATION (5m) by the plan of SEED (a new one), and check it (root)
	$(GO) run ./test/chaos -duration $(DURATION) -seed $(SEED)

.PHONY: fmt
fmt: $(LINTER) ## Format the code
	$(LINTER) fmt ./...

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin .cache

# The linter is built from a module of its own, so that its many dependencies
# are none of ours, and anew when its version changes there.
$(LINTER): tools/go.mod tools/go.sum
	cd tools && $(GO) build -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# The real Consul server, for tests only: it takes some minutes to build, once.
.PHONY: consul
consul: .cache/bin/consul ## Build the Consul server that tests start
.cache/bin/consul: tools/consul/go.mod tools/consul/go.sum
	@echo "Building the Consul server that the tests start: some minutes, once. It shows each package."
	cd tools/consul && CGO_ENABLED=0 nice $(GO) build -v -trimpath -ldflags '-s -w' -o ../../$@ github.com/hashicorp/consul

# The machines that tests boot in QEMU. Their kernel is Debian's, unpacked and not installed.
.PHONY: machines
machines: kernel

.PHONY: kernel
kernel: .cache/kernel/boot ## Get the kernel that tests boot in QEMU
.cache/kernel/boot:
	rm -rf .cache/kernel.new && mkdir -p .cache/kernel.new
	cd .cache/kernel.new && { \
		image() { apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$$/\1/p' | head -n 1; }; \
		apt-get download -q "$$(image)" || { apt-get update -q && apt-get download -q "$$(image)"; }; \
	} && dpkg -x linux-image-*.deb . && rm linux-image-*.deb
	rm -rf .cache/kernel && mv .cache/kernel.new .cache/kernel

# The Flocker client that Kubernetes had, as Debian ships its source: a test uses
# it. The package is unpacked, not installed: it wants another Go.
.PHONY: flocker-go
flocker-go: .cache/flocker-go/client.go ## Get the client of Kubernetes that a test uses
CLIENT := golang-github-clusterhq-flocker-go-dev
.cache/flocker-go/client.go:
	rm -rf .cache/flocker-go.new && mkdir -p .cache/flocker-go.new
	cd .cache/flocker-go.new && { apt-get download -q $(CLIENT) || { apt-get update -q && apt-get download -q $(CLIENT); }; } && dpkg -x $(CLIENT)_*.deb .
	rm -rf .cache/flocker-go && mv .cache/flocker-go.new/usr/share/gocode/src/github.com/ClusterHQ/flocker-go .cache/flocker-go
	rm -rf .cache/flocker-go.new

# The Go version that go.mod names. An older Go, from 1.21 on, gets that one by itself,
# unless GOTOOLCHAIN=local forbids it.
GO_NEEDED := $(shell sed -n 's/^go //p' go.mod)
.PHONY: go
go:
	@if ! command -v $(GO) >/dev/null; then \
		echo "Go $(GO_NEEDED) is needed, and there is no $(GO) on the PATH. Get it at https://go.dev/dl/ and put its bin directory on the PATH." >&2; exit 1; \
	fi; \
	have=$$($(GO) version 2>/dev/null | sed -n 's/^go version go\([0-9.]*\).*/\1/p'); \
	if [ -z "$$have" ]; then have=$$(cd / && $(GO) version | sed -n 's/^go version go\([0-9.]*\).*/\1/p'); fi; \
	if [ "$$(printf '%s\n' "$(GO_NEEDED)" "$$have" | sort -V | head -n 1)" != "$(GO_NEEDED)" ]; then \
		echo "Go $(GO_NEEDED) or newer is needed, and $$(command -v $(GO)) is $${have:-of an unknown version}. Get it at https://go.dev/dl/, or unset GOTOOLCHAIN to have Go 1.21 or newer fetch it." >&2; exit 1; \
	fi

# What the tests and the demo call of the machine; nothing is installed behind anybody's
# back. One message has all that is missing.
DEMO_NEEDS := mkfs.ext4=e2fsprogs ip=iproute2 losetup=util-linux
RUN_NEEDS  := $(DEMO_NEEDS) mkfs.xfs=xfsprogs openssl=openssl curl=curl
TEST_NEEDS := $(RUN_NEEDS) gcc=gcc git=git \
	qemu-system-x86_64=qemu-system-x86 systemd-analyze=systemd dpkg=dpkg apt-get=apt
.PHONY: needs needs-demo needs-test
needs: NEEDED := $(RUN_NEEDS)
needs-demo: NEEDED := $(DEMO_NEEDS)
needs-test: NEEDED := $(TEST_NEEDS)
needs needs-demo needs-test:
	@missing=; for need in $(NEEDED); do \
		PATH="$$PATH:/usr/sbin:/sbin" command -v "$${need%%=*}" >/dev/null || missing="$$missing $${need#*=}"; \
	done; \
	root=; [ "$$(id -u)" = 0 ] || root="Real loop devices and mounts need root: run this as root."; \
	if [ -n "$$missing" ]; then \
		echo "Programs are missing. Install them as root with: apt-get install$$(printf ' %s' $$missing | tr ' ' '\n' | sort -u | tr '\n' ' ')" >&2; \
	fi; \
	if [ -n "$$root" ]; then echo "$$root" >&2; fi; \
	[ -z "$$missing$$root" ]
