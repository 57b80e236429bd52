# Each habit has one command; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup run stop status logs clean token visitor operate demo chaos bench bench-compare bench-profile k8s-check \
  observability images images-check sbom test lint format docs lock migration contracts
PYTHON_BIN := .venv/bin
TENANT ?= acme
ROLE ?= admin
USER_NAME = $(if $(filter command line,$(origin USER)),$(USER),ana)
TTL ?= 12h
VERSION ?= 2
SECONDS ?= 600
SEED ?= 1
FAULTS ?= all
ONLY ?=
SCALE ?= 1
TAG ?= dev
REGISTRY ?=
SERVICES := gateway booking tenancy notifications
# What an image is built on, best by digest (python@sha256:...); from which commit, and where that is kept.
BASE ?= python:3.11-slim-bookworm
REVISION ?= $(shell git rev-parse HEAD 2> /dev/null || echo unknown)
EPOCH ?= $(shell git log -1 --format=%ct 2> /dev/null || echo 315532800)
SOURCE ?= unknown
IMAGE_OPTIONS ?=

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing (run, test and lint do it by themselves)
	@deploy/local/setup

run: setup ## Start everything and keep it running; Ctrl-C stops it
	@$(PYTHON_BIN)/python -m local_stack up

stop: ## Stop what `make run` started, from another terminal
	@$(PYTHON_BIN)/python -m local_stack down

status: ## Tell what runs, and where
	@$(PYTHON_BIN)/python -m local_stack status

logs: ## Follow the logs of all parts
	@$(PYTHON_BIN)/python -m local_stack logs

clean: ## Remove what was booked and the logs; what was installed stays
	@$(PYTHON_BIN)/python -m local_stack clean

token: ## Print a token: make token TENANT=acme ROLE=admin USER=ana [TTL=12h] [VERSION=2]
	@$(PYTHON_BIN)/python -m local_stack token --tenant '$(TENANT)' --role '$(ROLE)' --user '$(USER_NAME)' --ttl '$(TTL)' --version '$(VERSION)'

visitor: ## Print what a client of Kafka logs in with: env $(make -s visitor) python consumer.py
	@$(PYTHON_BIN)/python -m local_stack visitor

operate: ## Run an operator's command: make operate DO="booking deadletters list"
	@$(PYTHON_BIN)/python -m local_stack operate $(DO)

demo: ## Play a story against the running system
	@$(PYTHON_BIN)/python -m local_stack.demo

chaos: ## Break it on purpose, under load, and check every promise: make chaos [SECONDS=600] [SEED=1] [FAULTS=all]
	@deploy/local/setup chaos
	@$(PYTHON_BIN)/python -m local_stack.chaos --seconds '$(SECONDS)' --seed '$(SEED)' --faults '$(FAULTS)'

k8s-check: setup ## Render deploy/k8s and hold it to schemas and policies; needs no cluster, and is part of `make test`
	@$(PYTHON_BIN)/python -m local_stack.k8s check

observability: ## Write rules and dashboards anew, and hold them to what is exported, to promtool and to haproxy
	@deploy/local/setup checkers
	@$(PYTHON_BIN)/python -m local_stack.observability generate
	@$(PYTHON_BIN)/python -m local_stack.observability check

images: ## Build the images of the services and the local issuer: make images [TAG=dev] [REGISTRY=registry.example.com/]
	@for service in $(SERVICES); do \
	  docker build -q $(IMAGE_OPTIONS) --build-arg SERVICE=$$service --build-arg BASE='$(BASE)' \
	    --build-arg SOURCE_DATE_EPOCH='$(EPOCH)' --build-arg REVISION='$(REVISION)' --build-arg VERSION='$(TAG)' \
	    --build-arg CREATED="$$(date -u -d '@$(EPOCH)' +%Y-%m-%dT%H:%M:%SZ)" --build-arg SOURCE='$(SOURCE)' \
	    -t '$(REGISTRY)production-tool/'$$service':$(TAG)' . || exit 1; done
	@docker build -q -f deploy/local/Dockerfile -t '$(REGISTRY)production-tool/issuer:$(TAG)' .

images-check: setup ## Install each service as its image holds it, without Docker: its size, that it starts, that it is always the same
	@$(PYTHON_BIN)/python -m local_stack.images check $(SERVICES)

sbom: setup ## Write a CycloneDX bill of materials of each service's image into .local/sbom
	@$(PYTHON_BIN)/python -m local_stack.images sbom $(SERVICES)

bench: ## Measure against the baselines: make bench [ONLY=drain-limit] [SCALE=1] [REPETITIONS=5]
	@bench/setup
	@$(PYTHON_BIN)/python -m bench run --only '$(ONLY)' --scale '$(SCALE)' $(if $(REPETITIONS),--repetitions '$(REPETITIONS)')

bench-compare: ## Tell what is worse than in the stored run by more than noise; fails if anything is
	@bench/setup
	@$(PYTHON_BIN)/python -m bench compare

bench-profile: ## Tell where the time goes: make bench-profile ONLY=post (or post-1, post-256, drain, reads, fan-out, fan-out-2000, fan-out-bursts, rooms)
	@bench/setup
	@$(PYTHON_BIN)/python -m bench profile '$(or $(ONLY),post)'

test: ## Run every test, on real engines
	@deploy/local/setup chaos checkers
	@contracts/validation/setup
	@$(PYTHON_BIN)/pytest -n 2

lint: setup ## Check style, types and who imports whom
	$(PYTHON_BIN)/ruff check .
	$(PYTHON_BIN)/ruff format --check .
	$(PYTHON_BIN)/mypy
	$(PYTHON_BIN)/lint-imports --no-cache

format: setup ## Mend what ruff can mend
	$(PYTHON_BIN)/ruff check --fix .
	$(PYTHON_BIN)/ruff format .

migration: setup ## Begin a migration: make migration SERVICE=booking MESSAGE="what it does"
	@$(PYTHON_BIN)/python -m servicekit migration '$(SERVICE)' '$(MESSAGE)'

contracts: setup ## Write anew what is made from the contracts: JSON Schemas, AsyncAPI, OpenAPI, Kafka's resources
	@$(PYTHON_BIN)/python -m production_contracts contracts/schemas
	@$(PYTHON_BIN)/python -m local_stack.contract documents
	@$(PYTHON_BIN)/python -m local_stack.k8s generate

docs: setup ## Build the documentation into .local/site; a link that leads nowhere fails it
	@NO_MKDOCS_2_WARNING=1 $(PYTHON_BIN)/mkdocs build --strict --quiet
	@echo "open .local/site/index.html"

UV := $(or $(shell command -v uv),.local/uv/bin/uv)
EXPORT := $(UV) export -q --format requirements.txt --no-header --no-emit-workspace
lock: ## Renew the locks after a change of dependencies (with the uv of `make setup`): one of all, and one of what each image holds
	$(UV) lock
	$(EXPORT) --all-packages --group dev --group build -o requirements.lock
	$(EXPORT) --only-group build -o deploy/build.lock
	$(EXPORT) --only-group bench -o bench/requirements.lock
	$(EXPORT) --package production-local-stack --only-group issuer -o deploy/local/issuer.lock
	for service in $(SERVICES); do \
	  $(EXPORT) --package production-$$service --no-dev -o services/$$service/requirements.lock || exit 1; done
