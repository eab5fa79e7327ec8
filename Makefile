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
build: ## Build the two static binaries into bin/, with links to one by the names of Flocker's own programs
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...
	for name in flockerctl flocker-volumes flocker-ca; do ln -sf flocker bin/$$name; done

.PHONY: demo
demo: needs ## Play the whole story on two nodes made on this machine (root)
	$(GO) run ./test/demo

# One package at a time: a mount namespace that one test makes keeps a copy of
# what another has mounted, and its device busy.
.PHONY: test
test: needs build consul machines flocker-go ## Run all tests with the race detector (root: they use real devices)
	$(GO) test -race -p 1 -timeout 20m $(TESTS)

.PHONY: lint
lint: $(LINTER) ## Check the code's form, and who imports whom
	$(LINTER) run ./...
	$(LINTER) run --build-tags faults ./...

.PHONY: bench
bench: needs build consul ## Measure against floors, in one run
	$(GO) run ./bench

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (20s)
	@grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's/:func /:/' | while IFS=: read -r file name; do \
		echo "$$name in $$(dirname $$file)"; \
		$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "./$$(dirname $$file)" || exit 1; \
	done

.PHONY: chaos
chaos: needs consul ## Run a cluster under faults for DURATION (5m) by the plan of SEED (a new one), and check it (root)
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
	cd tools/consul && CGO_ENABLED=0 nice $(GO) build -trimpath -ldflags '-s -w' -o ../../$@ github.com/hashicorp/consul

# The machines that tests boot in QEMU. Their kernel is Debian's, unpacked and not installed.
.PHONY: machines
machines: kernel
	@PATH="$$PATH:/usr/sbin:/sbin"; command -v qemu-system-x86_64 >/dev/null && command -v systemd-analyze >/dev/null || \
		{ echo "Programs are missing. Install them with: apt-get install qemu-system-x86 systemd" >&2; exit 1; }

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

# What the tests call of the machine; nothing is installed behind anybody's back.
.PHONY: needs
needs:
	@missing=; \
	need() { PATH="$$PATH:/usr/sbin:/sbin" command -v $$1 >/dev/null || missing="$$missing $$2"; }; \
	need mkfs.ext4 e2fsprogs; need mkfs.xfs xfsprogs; need ip iproute2; need losetup util-linux; need openssl openssl; need curl curl; \
	if [ -n "$$missing" ]; then \
		echo "Programs are missing. Install them with: apt-get install$$(printf ' %s' $$missing | tr ' ' '\n' | sort -u | tr '\n' ' ')" >&2; exit 1; \
	fi; \
	if [ "$$(id -u)" != 0 ]; then echo "Real loop devices and mounts need root: run this as root." >&2; exit 1; fi
