# Heddle: what can be done with this tree. `make` alone prints the list.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# Tools are built once, outside the tree, in a folder that names their version.
CACHE                  := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/heddle
CONTROLLER_GEN_VERSION := v0.23.0
GOLANGCI_LINT_VERSION  := v2.15.0
BENCHSTAT_VERSION      := v0.0.0-20260908200009-22c9c6c9d4da
CONTROLLER_GEN         := $(CACHE)/tools/controller-gen-$(CONTROLLER_GEN_VERSION)/controller-gen
GOLANGCI_LINT          := $(CACHE)/tools/golangci-lint-$(GOLANGCI_LINT_VERSION)/golangci-lint

# A cluster of one's own: make demo KUBECONFIG=/path. Without it the lab is used.
KUBECONFIG ?=
# Where `make image` puts images and `make demo` takes them from on such a cluster.
IMG        ?=
REPORT     ?=
FUZZTIME   ?= 20s
PARTS      ?=
SIZES      ?= 100x100
CALLS      ?= 0
LONG       ?= 60m
PLOT       ?=
BASE       ?=
COUNT      ?= 6
MICRO      ?= ./crds/... ./operator/... ./sidecar/... ./canary/...
RATE       ?= 20

VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS    := -s -w -X main.version=$(VERSION)

ifneq ($(KUBECONFIG),)
export KUBECONFIG
endif

##@ Try it

.PHONY: help
help: ## Print this list
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z][a-z-]*:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nVariables: KUBECONFIG (a cluster of your own instead of the lab), IMG (registry prefix of\nimages), PARTS (parts of make test), FUZZTIME (%s a target). Example:\n  make demo KUBECONFIG=$$HOME/.kube/config IMG=registry.example.com/heddle\n' "$(FUZZTIME)"

.PHONY: demo
demo: ## Cluster, mesh, a shop with traffic, a split, access rules, a good and a bad release
	@go run ./tests/demo up $(if $(IMG),-img "$(IMG)")

.PHONY: demo-down
demo-down: ## Remove the shop and Heddle again (the lab stays up: make lab-down)
	@go run ./tests/demo down $(if $(IMG),-img "$(IMG)")

.PHONY: lab-up
lab-up: ## Start a real one-node Kubernetes on this machine (needs root)
	@go run ./tests/lab up

.PHONY: lab-down
lab-down: ## Stop it and take away everything it started
	@go run ./tests/lab down

.PHONY: lab-status
lab-status: ## Say what of it runs
	@go run ./tests/lab status

##@ Build and install

.PHONY: build
build: ## Build heddle, heddle-operator and heddle-init into bin/
	@mkdir -p bin
	@for p in heddle heddle-operator heddle-init; do \
	  echo "building bin/$$p"; \
	  CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/$$p ./cmd/$$p || exit 1; \
	done
	@ln -sf heddle bin/kubectl-heddle

.PHONY: image
image: ## Make the images: into the lab, or pushed to IMG=registry/prefix
	@go run ./tests/lab images $(if $(IMG),-img "$(IMG)" heddle-operator heddle-init envoy prometheus shop)

.PHONY: install
install: ## Install Heddle on KUBECONFIG's cluster (kustomize/default)
	kubectl apply --server-side -k kustomize/default

.PHONY: uninstall
uninstall: ## Remove the operator; CRDs and their objects stay, readable in their newest version
	kubectl delete --ignore-not-found -k kustomize/base

.PHONY: uninstall-crds
uninstall-crds: ## Remove the CRDs, and with them every TrafficSplit, TrafficTarget and Canary
	kubectl delete --ignore-not-found -k crds

##@ Test

.PHONY: test
test: ## Everything: lint, arch, unit with -race, golden, envoy, envtest, e2e and compat on the lab
	@go run ./tests/suite $(if $(PARTS),-only "$(PARTS)")

.PHONY: test-long
test-long: ## 100,000 random policy decisions, the model against a stock Envoy
	@HEDDLE_LONG=1 go run ./tests/suite -only envoy

.PHONY: conformance
conformance: ## SMI's own suite, 24 steps in the oldest and newest versions (REPORT=file for JSON)
	@go run ./tests/demo install $(if $(IMG),-img "$(IMG)")
	@export KUBECONFIG="$${KUBECONFIG:-$$(go run ./tests/lab kubeconfig)}"; \
	  go run ./tests/conformance $(if $(IMG),-image "$(IMG)/shop:dev") $(if $(REPORT),-json "$(REPORT)")

.PHONY: compat
compat: ## Releases by stock Flagger and Argo Rollouts, every version and provider (make test: one of each)
	@HEDDLE_LONG=1 go run ./tests/suite -only compat

.PHONY: lint
lint: ## gofmt, go vet and golangci-lint
	@go run ./tests/suite -only lint

.PHONY: golden-update
golden-update: ## Rewrite the golden files; read the diff before committing it
	@go run ./tests/suite -golden-update

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME
	@go run ./tests/suite -fuzz $(FUZZTIME)

.PHONY: bench
bench: ## The control plane beside the floor (SIZES=100x100,1000x1000 CALLS=10 for ten calls each)
	@go run ./tests/lab envtest-assets >/dev/null
	@go run ./tests/bench -sizes "$(SIZES)" -calls $(CALLS) $(if $(REPORT),-json "$(REPORT)") $(if $(PLOT),-plot "$(PLOT)") $(if $(PROFILES),-profiles "$(PROFILES)")

.PHONY: bench-endure
bench-endure: ## Clients that don't read, drop, or come back at once: who pays, what is left
	@go run ./tests/lab envtest-assets >/dev/null
	@go run ./tests/bench endure -sizes "$(SIZES)" -calls $(CALLS) $(if $(REPORT),-json "$(REPORT)")

.PHONY: bench-canaries
bench-canaries: ## CANARIES=500 that release at once: are checks on time, what they cost
	@go run ./tests/lab envtest-assets >/dev/null
	@go run ./tests/bench canaries -sizes "$(or $(CANARIES),500)x1" $(if $(REPORT),-json "$(REPORT)")

.PHONY: bench-dataplane
bench-dataplane: ## What a pair of sidecars costs a request on the lab, beside the smallest pair of Envoys
	@go run ./tests/demo install
	@export KUBECONFIG="$${KUBECONFIG:-$$(go run ./tests/lab kubeconfig)}"; go run ./tests/dataplane $(if $(REPORT),-json "$(REPORT)")

.PHONY: bench-zero-loss
bench-zero-loss: ## RUNS=100 good and as many bad releases under 300 writes a second on the lab; fails if one is lost
	@go run ./tests/demo install
	@export KUBECONFIG="$${KUBECONFIG:-$$(go run ./tests/lab kubeconfig)}"; \
	  HEDDLE_RUNS=$(or $(RUNS),100) go test -count=1 -v -parallel 5 -timeout 180m -run TestReleasesLoseNoRequest ./tests/e2e

.PHONY: bench-rollback
bench-rollback: ## How long clients see errors of RUNS=50 bad releases on the lab; fails from 5 s on
	@go run ./tests/demo install
	@export KUBECONFIG="$${KUBECONFIG:-$$(go run ./tests/lab kubeconfig)}"; \
	  HEDDLE_RUNS=$(or $(RUNS),50) go test -count=1 -v -parallel 5 -timeout 60m -run TestABreachIsNotWaitedFor ./tests/e2e

.PHONY: soak
soak: ## Pods come and go for LONG=60m at RATE=20 a second; fails if the operator grows
	@go run ./tests/lab envtest-assets >/dev/null
	@go run ./tests/bench soak -for $(LONG) -rate $(RATE) -sizes "$(SIZES)" -calls $(CALLS) $(if $(REPORT),-json "$(REPORT)")

.PHONY: bench-compare
bench-compare: ## The same beside another revision's operator (BASE=main SIZES=1000x1000)
	@go run ./tests/lab envtest-assets >/dev/null
	@go run ./tests/bench -sizes "$(SIZES)" -calls $(CALLS) -base "$(or $(BASE),main)" $(if $(REPORT),-json "$(REPORT)")

.PHONY: bench-micro
bench-micro: ## Benchmarks of single packages (BASE=main COUNT=6: beside another revision's, by benchstat)
ifeq ($(BASE),)
	go test -run '^$$' -bench . -benchmem $(MICRO)
else
	@dir=$$(mktemp -d) || exit 1; \
	  trap 'git worktree remove --force "$$dir/base" 2>/dev/null; rm -rf "$$dir"' EXIT; \
	  git worktree add --quiet --detach "$$dir/base" "$(BASE)" || exit 1; \
	  echo "benchmarks of $(BASE)"; \
	  (cd "$$dir/base" && go test -run '^$$' -bench . -benchmem -count $(COUNT) $(MICRO)) >"$$dir/before" || { cat "$$dir/before"; exit 1; }; \
	  echo "benchmarks of this tree"; \
	  go test -run '^$$' -bench . -benchmem -count $(COUNT) $(MICRO) >"$$dir/now" || { cat "$$dir/now"; exit 1; }; \
	  go run golang.org/x/perf/cmd/benchstat@$(BENCHSTAT_VERSION) "$(BASE)=$$dir/before" "this tree=$$dir/now"
endif

##@ Develop

.PHONY: generate
generate: $(CONTROLLER_GEN) ## Regenerate deepcopy functions and CRDs
	$(CONTROLLER_GEN) object paths=./crds/...
	$(CONTROLLER_GEN) crd:generateEmbeddedObjectMeta=true paths=./crds/... output:crd:dir=crds/bases

.PHONY: tools
tools: $(CONTROLLER_GEN) $(GOLANGCI_LINT) ## Build the tools that generate and lint need

$(CONTROLLER_GEN):
	@echo "building controller-gen $(CONTROLLER_GEN_VERSION)"
	@GOBIN=$(dir $@) go install sigs.k8s.io/controller-tools/cmd/controller-gen@$(CONTROLLER_GEN_VERSION)

$(GOLANGCI_LINT):
	@echo "building golangci-lint $(GOLANGCI_LINT_VERSION) (a few minutes, once)"
	@GOBIN=$(dir $@) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

.PHONY: clean
clean: ## Remove what build left in the tree
	rm -rf bin dist

print-%:
	@echo '$($*)'
