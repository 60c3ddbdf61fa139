# make               says what there is
# make reproduce     everything from a fresh clone to the figures
#
# Settings, each may be given on the command line:
#   PROFILE=quick    profiles/<name>.yml: smoke quick simulated eurosat previous_work bigearthnet
#   CORES=2          how many cores the pipeline may use (default: all)
#   VENV=.venv       the virtual environment that is made and used
#   PYTHON=python3   which Python (3.11 or newer) makes it
#   ENV=none         make no environment: use PYTHON (default: python) as it is, with the packages it has
#   SITE=_docs       the folder that `make docs` writes
#   LAB='--no-browser --allow-root'   options of JupyterLab, in a container for instance
#   SSL_FUSION_DATA  environment variable: the folder where downloaded data is

SHELL   := /bin/bash
PROFILE ?= quick
CORES   ?= $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
VENV    ?= .venv
SITE    ?= _docs

ifeq ($(ENV),none)
  PYTHON    ?= python
  PY        := $(PYTHON)
  BIN       := $(shell $(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("scripts"))')
  INSTALLED := own-environment
else
  # The first that is there and new enough.
  PYTHON    ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
                   $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
  BIN       := $(abspath $(VENV))/bin
  PY        := $(BIN)/python
  INSTALLED := $(VENV)/.installed
endif

# notebooks run in other folders
ifneq ($(SSL_FUSION_DATA),)
  export SSL_FUSION_DATA := $(abspath $(SSL_FUSION_DATA))
endif

# papermill, snakemake, nbdev_export, ... of the chosen Python come first
export PATH := $(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help environment reproduce test lab docs notebooks readme clean own-environment

help: ## say what there is
	@echo "make TARGET [PROFILE=$(PROFILE)] [CORES=$(CORES)] [VENV=$(VENV)] [PYTHON=...] [ENV=none]"; echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1|\2/p' Makefile | while IFS='|' read -r name what; do printf '%-14s %s\n' "$$name" "$$what"; done

environment: $(INSTALLED) ## make the Python environment (again when settings.ini, setup.py or pyproject.toml changed)

$(VENV)/.installed: settings.ini setup.py pyproject.toml
	@"$(PY)" -m pip --version >/dev/null 2>&1 || { \
	   test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found: install one, or name it with PYTHON=..."; exit 1; }; \
	   "$(PYTHON)" -m venv "$(VENV)"; }
	@echo "Installing into $(VENV); with PyTorch these are some gigabytes and minutes."
	@"$(PY)" -m pip install --disable-pip-version-check --quiet -e '.[dev]'
	@touch $@

own-environment:
	@cd / && "$(PY)" -c 'import ssl_fusion' || { echo "ENV=none needs the project in your environment: pip install -e '.[dev]'"; exit 1; }

reproduce: environment ## run the pipeline of PROFILE up to its figures; run again, it goes on where it was
	@echo "Running profile $(PROFILE) on $(CORES) cores"
	@"$(PY)" tools/only_once.py runs/$(PROFILE).lock \
	    "$(PY)" -m snakemake --nolock --cores $(CORES) --keep-going --rerun-incomplete --config profile=$(PROFILE) \
	  || { status=$$?; test $$status = 75 || { echo; \
	       echo "Not finished: the notebooks as they ran, the failing one too, are in runs/$(PROFILE)/."; \
	       echo "The same command goes on from here."; }; exit $$status; }
	@echo; echo "Figures and tables (SVG, PNG, and the CSV each is drawn from): figures/$(PROFILE)/"
	@find figures/$(PROFILE) -name '*.png' 2>/dev/null | sort | sed 's/^/  /'

test: environment ## run every test
	"$(PY)" -m pytest

lab: environment ## open the notebooks in JupyterLab
	"$(PY)" -m jupyter lab --LabApp.default_url=/lab/tree/nbs/index.ipynb $(LAB)

docs: environment ## build the site from what is committed, offline: notebooks, reference, results
	"$(PY)" tools/docs.py --out "$(SITE)"

notebooks: environment ## export the library, run its notebooks in order, keep their outputs, renew README.md
	nbdev_export
	"$(PY)" tools/run_notebooks.py
	@$(MAKE) --no-print-directory readme

readme: environment ## write README.md from nbs/index.ipynb
	"$(PY)" tools/readme.py

clean: ## remove runs/ and temporary files; figures/, data/ and the environment stay
	rm -rf runs .snakemake .pytest_cache build dist _docs
	find nbs ssl_fusion tests tools \( -name __pycache__ -o -name .ipynb_checkpoints -o -name '*.tmp' \) -prune -exec rm -rf {} +
	@echo "Kept: figures/, data/ (archives, stores, downloads) and $(VENV)."
