# Needs Go, make and git. Tools are built from the module in tools, or from modules of their own below it, once for all clones: they are
# kept in the user's cache directory, each under a name that changes with its version and with Go's.

cache := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/node-restriction-plus/tools
tools := actionlint controller-gen golangci-lint helm
goenv := $(shell go env GOVERSION GOOS GOARCH)
toolmod = $(if $(wildcard tools/$(1)/go.mod),tools/$(1),tools)
hash   = $(shell { echo $(goenv); cat $(call toolmod,$(1))/go.mod $(call toolmod,$(1))/go.sum; } | git hash-object --stdin)
$(foreach t,$(tools) benchstat govulncheck promtool,$(eval $(t) := $(cache)/$(t)@$(call hash,$(t))))

chart     := charts/node-restriction-plus
crd       := noderestriction.plus_noderestrictionpolicies.yaml
alerts    := config/alerts/node-restriction-plus.rules.yaml
dashboard := config/dashboards/node-restriction-plus.json
deepcopy  := api/v1alpha1/zz_generated.deepcopy.go
# The directory in which verify generates: go ignores directories that begin with an underscore.
aside     := bin/_verify
# Modules with our own code. The others under tools/ only name tools.
modules   := . charts charts/oldest e2e e2e/oracle config/observability config/logging tools tools/release
# It evaluates what our tests hand to it with a release that gets no fixes any more: vulnerabilities in it are known and harmless.
outdated  := charts/oldest
# Only the target that tests it lints it: its linter needs all of the OpenTelemetry Collector.
collector := config/logging
# Programs for e2e. They are not vetted, because that would compile all of Kubernetes and cert-manager again. Gatekeeper, which only
# bench needs, is not listed: checking its go.mod would download it on each machine.
programs  := e2e/tools/cert-manager
toolmodules := tools $(patsubst %/go.mod,%,$(wildcard tools/*/go.mod))
# The race detector needs a C compiler.
race      := $(if $(shell command -v $(firstword $(shell go env CC))),-race)
FUZZTIME  ?= 60s
SOAK      ?= 10m
CHAOS     ?= 1h
SEED      ?=
KUBE      ?=
KUBELET   ?=
BENCH     ?=
SCALE     ?=
testflags ?=
# Of make image and make release. BASE is an image to build on, as <image>@sha256:<digest>; without one, no registry is needed.
IMAGE     ?= node-restriction-plus
PLATFORMS ?= linux/amd64,linux/arm64
BASE      ?=
REGISTRY  ?= ghcr.io/noderestriction-plus/node-restriction-plus
export NRP_HELM ?= $(helm)
# Only the webhook is built with the profile default.pgo. With it, tests and linters would compile everything again. And make lint runs vet:
# go test would also run it on every dependency, which costs half as much as compiling them.
export GOFLAGS := $(GOFLAGS) -pgo=off -vet=off

# step runs a command, and prints what it does and how long it took.
step = @echo "==> $(1)"; start=$$(date +%s); { $(2); } && echo "==> $(1): done in $$(($$(date +%s) - start)) s"

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help build image release reproduce demo demo-replay test test-unit test-release test-chart test-monitoring test-alerts test-page \
	test-site test-oldest test-logging test-e2e node outage chaos compat lint lint-go lint-module lint-chart lint-workflows site vulnerabilities \
	vulnerabilities-tools format new-rule generate generate-api verify headers notices fuzz bench bench-pairs bench-packages bench-compare \
	numbers profile scale soak tools helm-path clean

help: ## Show this help.
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r target text; do printf '  %-22s %s\n' $$target "$$text"; done

build: ## Build bin/node-restriction-plus, the webhook, and bin/kubectl-nrp, the command-line tool.
	$(call step,build bin/node-restriction-plus,CGO_ENABLED=0 go build -buildvcs=auto -trimpath -pgo=auto -ldflags '-s -w -buildid=' -o bin/node-restriction-plus .)
	$(call step,build bin/kubectl-nrp,CGO_ENABLED=0 go build -buildvcs=auto -trimpath -ldflags '-s -w -buildid=' -o bin/kubectl-nrp ./cmd/kubectl-nrp)

image: ## Build the image into bin/image, without a container runtime: PLATFORMS=linux/amd64 for less, BASE=… to build on another.
	$(call step,build the image,go -C tools/release run . image -C $(CURDIR) -o $(CURDIR)/bin/image -name '$(IMAGE)' -platforms '$(PLATFORMS)' \
		-base '$(BASE)')

release: $(helm) ## Make all files of a release in bin/dist, of a commit; the image will be REGISTRY.
	$(call step,make the release,go -C tools/release run . dist -C $(CURDIR) -o $(CURDIR)/bin/dist -helm $(helm) -image '$(REGISTRY)')

# In two clones, one of them with an empty build cache, because neither the directory nor the cache may count.
reproduce: $(helm) ## Make the release of HEAD twice and compare every file (half an hour).
	@rm -rf bin/reproduce && mkdir -p bin/reproduce
	$(call step,first release,git clone -q . bin/reproduce/first && \
		GOCACHE=$(CURDIR)/bin/reproduce/cache $(MAKE) --no-print-directory -C bin/reproduce/first release)
	$(call step,second release,git clone -q . bin/reproduce/a/second && $(MAKE) --no-print-directory -C bin/reproduce/a/second release)
	$(call step,compare,diff bin/reproduce/first/bin/dist/checksums.txt bin/reproduce/a/second/bin/dist/checksums.txt)

# Everything that the demos run is built with the same flags, so that what the programs share is compiled once: without inlining and debug
# information, which takes a third less time. Programs of the control plane that are already there are used instead.
demo demo-replay: export GOFLAGS := $(GOFLAGS) '-gcflags=all=-l -dwarf=false'
demo demo-replay: export NRP_QUICK := 1

demo: ## Show the product against a real control plane and kubelet; KEEP=1 leaves them running.
	@echo "Building the commands that need no cluster; they show something while the rest builds"
	@go run ./internal/demo
	@KEEP=$(KEEP) go -C e2e run ./demo attack

demo-replay: ## Show the way from an audit log to a policy, with real kubelets; the log stays; KEEP=1 as in demo.
	@KEEP=$(KEEP) go -C e2e run ./demo replay

test: test-unit test-release test-chart test-monitoring test-e2e ## Run every test.

test-unit: ## Test the packages: unit tests, fixtures, scripts of the commands, import rules.
	$(call step,test packages,go test $(race) $(testflags) ./...)
	$(call step,test tools,go -C tools test $(testflags) ./...)

# With the release's own code, but small programs for most platforms, and without the profile.
test-release: $(helm) ## Test the image and the files of a release.
	$(call step,test the release,go -C tools/release test $(testflags) ./...)

test-chart: $(helm) ## Lint and render the chart, test what it renders.
	$(call step,lint chart,$(helm) lint --strict $(chart))
	$(call step,test chart,go -C charts test -count=1 -timeout 30m $(testflags) ./...)

test-monitoring: ## Test alerts and dashboard with Prometheus' query engine.
	$(call step,test alerts and dashboard,go -C config/observability test -count=1 $(testflags) ./...)

# Not part of test, because building promtool takes 13 minutes of CPU. It reads the same files as test-monitoring.
test-alerts: $(promtool) ## Test the alerts with promtool itself (builds it once).
	$(call step,promtool check rules,$(promtool) check rules config/alerts/*.rules.yaml)
	$(call step,promtool test rules,$(promtool) test rules config/alerts/tests/*.yaml)

# Not part of test, because it needs a browser, Chromium or Chrome, in PATH.
test-page: ## Test the script of the page of denials in Chromium or Chrome.
	$(call step,test the page in a browser,go test -count=1 -tags browser $(testflags) -run '^TestTheScriptOfThePage' ./internal/denials)

# Needs Node.js and packages of npm, which no other target does. The copy keeps them out of the tree.
site := bin/site
site: $(site)/node_modules/.package-lock.json ## Build the documentation site, bin/site/dist; SITE_VERSION=v0.1.0 SITE_BASE=/v0.1.0/ for a release.
	$(call step,build the site,cp -r tools/site/. $(site) && cd $(site) && node_modules/.bin/vitepress build)

$(site)/node_modules/.package-lock.json: tools/site/package-lock.json
	$(call step,install VitePress,mkdir -p $(site) && cp tools/site/package*.json $(site) && cd $(site) && npm ci --ignore-scripts --no-audit --no-fund)

test-site: site ## Test that the site has no broken link, and the addresses that alerts name.
	$(call step,follow the links of the site,go test -count=1 -tags site $(testflags) -run '^TestSite' ./internal/docs)

# Not part of test, because building the oldest API server's evaluator takes five minutes of CPU. Its linter needs the same packages.
test-oldest: $(helm) $(golangci-lint) ## Compare the verdicts of the oldest supported API server's CEL with those of the newest.
	@$(MAKE) --no-print-directory lint-module MODULE=$(outdated)
	$(call step,compare with the oldest API server,go -C charts test -count=1 -tags oldest $(testflags) -run '^TestOldestServerAgrees$$' .)

# Not part of test, because it builds the OpenTelemetry Collector, for minutes of CPU.
test-logging: $(golangci-lint) ## Test that the OpenTelemetry Collector keeps each record.
	@$(MAKE) --no-print-directory lint-module MODULE=$(collector)
	$(call step,ship records with the OpenTelemetry Collector,go -C $(collector) test -count=1 $(testflags) ./...)

# The target outage is not part of it: restarts without a failed write need an idle machine. Packages that send floods or measure time run
# one after the other; of the rest, which mostly waits, two run at a time. Each has its own control plane. With -p, go test would also
# compile one package at a time, so everything is compiled first.
alone := certmanager|follow|guard|hostile|scrapes|wiring
test-e2e: $(helm) ## Test against a real control plane and real kubelets (builds them once).
	$(call step,compile the tests,cd e2e && go list $(race) -test -deps -export ./... > /dev/null)
	$(call step,test end to end: two packages at a time,cd e2e && go test -p 2 $(race) -count=1 -timeout 30m $(testflags) \
		$$(go list ./... | grep -Ev '/e2e(/($(alone)|node|outage))?$$'))
	$(call step,test end to end: one package at a time,cd e2e && go test -p 1 $(race) -count=1 -timeout 30m $(testflags) \
		$$(go list ./... | grep -E '/e2e(/($(alone)))?$$'))
	$(call step,the page of outages is current,go -C e2e test -count=1 -run '^TestPageIsCurrent$$' $(testflags) ./outage)
	$(call step,compare the baseline with the plugin itself,go -C e2e/oracle test -timeout 10m $(testflags) ./...)

# As root, because it runs containers. It has namespaces and cgroups of its own, and leaves nothing behind.
node: $(helm) ## Test on real nodes, with containerd and the product's image; needs root, Linux and runc.
	$(call step,real nodes,go -C e2e test -count=1 -timeout 40m -v $(testflags) ./node)

outage: $(helm) ## Test every outage on what the chart installs (half an hour).
	$(call step,every outage,OUTAGE=all go -C e2e test -count=1 -timeout 90m -v $(testflags) ./outage)

chaos: $(helm) ## Inject a fault every 20 s for an hour; CHAOS=5m for less, SEED=1 for the same again.
	$(call step,chaos for $(CHAOS),CHAOS=$(CHAOS) SEED=$(SEED) go -C e2e test -count=1 -timeout 24h -v $(testflags) -run '^TestChaos$$' ./outage)

# Building a program of another release takes as long as building the current one.
compat: $(helm) ## Test other releases: KUBE=1.31 of the API server, KUBELET=1.34 of kubelets; writes docs/compatibility.md.
	$(call step,test with another release,go -C e2e run ./compat $(if $(KUBE),-kube-apiserver $(KUBE)) $(if $(KUBELET),-kubelet $(KUBELET)))

numbers: $(helm) ## Try every expensive quantity in every field and encoding on a real API server (hours).
	$(call step,every expensive quantity,NRP_EVERY_NUMBER=1 go -C e2e test -count=1 -timeout 24h -v $(testflags) -run '^TestHostile$$' ./hostile)

lint: lint-go lint-chart lint-workflows ## Run every linter.

# In each module except those that test-oldest and test-logging check, because golangci-lint checks one at a time. The format is checked everywhere.
lint-go: $(golangci-lint)
	$(call step,format,$(golangci-lint) fmt --diff)
	@for m in $(filter-out $(outdated) $(collector),$(modules)); do $(MAKE) --no-print-directory lint-module MODULE=$$m || exit; done

lint-module: $(golangci-lint)
	$(call step,golangci-lint in $(MODULE),cd $(MODULE) && $(golangci-lint) run ./...)

lint-chart: $(helm)
	$(call step,lint chart,$(helm) lint --strict $(chart))

# Without shellcheck and pyflakes, which not every machine has.
lint-workflows: $(actionlint) ## Lint the workflows in .github.
	$(call step,actionlint,$(actionlint) -shellcheck= -pyflakes=)

# Both need https://vuln.go.dev.
vulnerabilities: $(govulncheck) ## Find known vulnerabilities in the code that our modules reach.
	$(call step,govulncheck,for m in $(filter-out $(outdated),$(modules)); do echo "$$m"; $(govulncheck) -C $$m -test ./... || exit; done)

# By package, not by function: following calls through all of Kubernetes needs more memory than a small machine has.
vulnerabilities-tools: $(govulncheck) ## Find known vulnerabilities in the packages of tools and of programs for e2e.
	$(call step,govulncheck of tools,for m in $(toolmodules); do echo "$$m"; $(govulncheck) -C $$m -scan package tool || exit; done)
	$(call step,govulncheck of programs,for m in e2e/tools $(programs); do echo "$$m"; \
		$(govulncheck) -C $$m -scan package ./... || exit; done)

format: $(golangci-lint) ## Format the code.
	$(call step,format,$(golangci-lint) fmt)

new-rule: ## Add a rule: ID=node-foo-bar writes its files; go test ./policy/rules then names what is missing.
	@go run ./internal/newrule '$(ID)'
	@$(MAKE) --no-print-directory generate-api

generate: generate-api ## Generate deepcopy functions, CRD, chart, docs, notices, and the verdicts of fixtures.
	$(call step,policies for distributions,go test ./internal/distribution -run '^(TestProfilesAreCurrent|TestDistributions)$$' -update)
	$(call step,chart from config and values.yaml,go -C charts test . -run 'AreCurrent$$|IsCurrent$$' -update)
	$(call step,alerts and dashboard in the chart,cp $(alerts) $(chart)/files/alerts.yaml && cp $(dashboard) $(chart)/files/dashboard.json)
	$(call step,docs,go test ./internal/docs ./cmd/kubectl-nrp ./internal/command ./internal/serve ./internal/probe -run TestPagesAreCurrent -update)
	$(call step,verdicts of fixtures,go test ./policy/rules -run TestRules -update)
	@$(MAKE) --no-print-directory notices

generate-api: $(controller-gen) ## Generate deepcopy functions and the CRD.
	$(call step,deepcopy and CRD,$(controller-gen) object:headerFile=tools/header.txt crd paths=./api/... output:crd:dir=config/crd)
	$(call step,CRD in the chart,cp config/crd/$(crd) $(chart)/files/$(crd))

verify: $(controller-gen) ## Check that generated files are current, without changing them.
	$(call step,generate aside,rm -rf $(aside) && mkdir -p $(aside) && $(controller-gen) object:headerFile=tools/header.txt crd paths=./api/... \
		output:object:dir=$(aside) output:crd:dir=$(aside))
	$(call step,deepcopy is current,git diff --no-index --exit-code $(deepcopy) $(aside)/zz_generated.deepcopy.go)
	$(call step,CRD is current,git diff --no-index --exit-code config/crd/$(crd) $(aside)/$(crd))
	$(call step,CRD in the chart is current,git diff --no-index --exit-code $(chart)/files/$(crd) $(aside)/$(crd))
	$(call step,alerts in the chart are current,git diff --no-index --exit-code $(alerts) $(chart)/files/alerts.yaml)
	$(call step,dashboard in the chart is current,git diff --no-index --exit-code $(dashboard) $(chart)/files/dashboard.json)
	$(call step,docs and fixtures are current,go test ./internal/docs ./cmd/kubectl-nrp ./internal/command ./internal/serve ./internal/probe ./policy/rules \
		./internal/distribution -run "^(TestPagesAreCurrent|TestRules|TestProfilesAreCurrent)$$")
	$(call step,third-party notices are current,$(printnotices) > $(aside)/notices && \
		git diff --no-index --exit-code THIRD_PARTY_NOTICES $(aside)/notices)
	$(call step,go.mod files are tidy,for m in $(modules) $(programs); do go -C $$m mod tidy -diff || exit; done)

# Generators write the header of generated files.
headers: ## Add the licence header to Go files that lack it.
	@mkdir -p bin
	@git ls-files --cached --others --exclude-standard '*.go' | grep -v /zz_generated | while read -r file; do \
		grep -q '^// SPDX-License-Identifier: ' "$$file" && continue; \
		{ cat tools/header.txt; echo; cat "$$file"; } > bin/header && cat bin/header > "$$file" && echo "$$file" || exit; \
	done

# The licences of what the image and the archives of a release contain.
printnotices = go -C tools run ./notices -C $(CURDIR) \
	-platforms linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64 . ./cmd/kubectl-nrp

notices: ## Write THIRD_PARTY_NOTICES; fails for a licence that is not accepted.
	@mkdir -p bin
	$(call step,third-party notices,$(printnotices) > bin/notices && mv bin/notices THIRD_PARTY_NOTICES)

fuzz: ## Run each fuzz test for FUZZTIME (60s).
	@for package in $$(go list ./...); do \
		names=$$(go test -list '^Fuzz' $$package) || exit; \
		for name in $$names; do case $$name in Fuzz*) \
			echo "==> $$package $$name"; \
			go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package || exit;; \
		esac; done; \
	done

bench: $(helm) ## Compare the cost of a write with the alternatives, end to end; writes docs/performance.md.
	$(call step,bench,go -C e2e run ./bench -keep $(BENCH))

bench-pairs: $(helm) ## Compare only the CPU time of the API server, with confidence intervals; writes docs/performance.md.
	$(call step,bench-pairs,go -C e2e run ./bench -keep -pairs 8 -writes 100 -rounds 6 $(BENCH))

profile: $(helm) ## Take the profile with which the webhook is built, default.pgo.
	$(call step,profile,go -C e2e run ./bench -variants evaluated -profile $(CURDIR)/default.pgo)

scale: $(helm) ## Simulate thousands of kubelets; writes docs/performance.md.
	$(call step,scale,go -C e2e run ./scale -keep $(SCALE))

# Six times each, as benchstat needs.
bench-packages: ## Run the packages' benchmarks; the results are in bin/bench.txt.
	@mkdir -p bin
	$(call step,benchmarks,go test -pgo=$(CURDIR)/default.pgo -run '^$$' -bench . -benchmem -count 6 ./policy/... ./internal/review ./internal/denial \
		./internal/recordlog ./webhooks > bin/bench.txt || { cat bin/bench.txt; exit 1; })

bench-compare: bench-packages $(benchstat) ## Compare the packages' benchmarks with docs/benchmarks.txt.
	@$(benchstat) docs/benchmarks.txt bin/bench.txt

soak: $(helm) ## Run kubelets through their whole life under every policy, for SOAK (10m).
	$(call step,soak for $(SOAK),SOAK=$(SOAK) go -C e2e test -run '^TestKubelets$$' -v -count=1 -timeout 0 .)

tools: $(foreach t,$(tools),$($(t))) ## Build the tools. Other targets build those that they need.

helm-path: # The path of helm, also before it is built.
	@echo $(helm)

$(cache)/%: name = $(firstword $(subst @, ,$*))
$(cache)/%:
	@mkdir -p $(cache)
	$(call step,build $(name) from $(call toolmod,$(name)) (once),\
		go -C $(call toolmod,$(name)) build -ldflags '-s -w' -o $@.$$$$ \
			$$(go -C $(call toolmod,$(name)) list tool | grep '/$(name)[^/]*$$') && mv -f $@.$$$$ $@)

clean: ## Remove what was built in this clone; tools and control plane stay in the cache directory.
	rm -rf bin
