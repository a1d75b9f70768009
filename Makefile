# make demo   solve a first task with the embedded model (TASK="..." for another)
# make test   everything that gates: lint, types, tests (JOBS=N processes of them)
# make system what decks are rendered with, from Debian's packages
TASK ?= Make a five-slide deck about honey bees for a primary school class
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint system test-system clean

demo: $(VENV)/installed
	@$(BIN)/autorl models fetch
	@$(BIN)/autorl solve "$(TASK)" || [ $$? -eq 1 ]  # 1: done, but the deck did not pass the checks

test: $(VENV)/tests-installed test-system lint
	@$(BIN)/autorl models fetch
	@$(BIN)/python -c 'from autorl.models.vllm_environment import find; find(None)' 2>/dev/null || \
	  $(BIN)/autorl serve install --cpu
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --durations 10

lint: $(VENV)/tests-installed
	@$(BIN)/ruff check .
	@$(BIN)/mypy

LACKING = from autorl.content import load_pack; load_pack("slides"); \
  from autorl_tools.slides.libreoffice import lacking; print(*sorted(set(lacking().values())))

# Installs $$packages. Where that does not work, the tests that need them say so.
INSTALL = [ -z "$$packages" ] && exit 0; \
	[ "$$(id -u)" -eq 0 ] && as_root="" || as_root="sudo -n"; \
	echo "Installing $$packages"; \
	command -v apt-get >/dev/null && $$as_root apt-get update -qq && \
	  $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$packages || \
	  echo "That did not work. Install, as Debian names them: $$packages"

system: $(VENV)/installed
	@packages=$$($(BIN)/python -c '$(LACKING)') || exit 1; $(INSTALL)

# A browser to look at pages with, and Java for ScienceWorld.
test-system: system
	@command -v chromium >/dev/null || packages="chromium"; \
	command -v java >/dev/null || packages="$$packages default-jre-headless"; $(INSTALL)

# The stamps make a second call cost nothing, and need no network.
$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else \
	  "autorl needs Python 3.11 or later, this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing autorl and what it needs into $(VENV)"
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --editable .
	@touch $@

$(VENV)/tests-installed: $(VENV)/installed tests/constraints.txt
	@echo "Installing what the tests need into $(VENV)"
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint tests/constraints.txt --editable '.[test]'
	@touch $@

clean:
	rm -rf $(VENV)
