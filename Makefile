# make demo   solve a first task with the embedded model (TASK="..." for another)
# make test   everything that gates: lint, types, tests
# make system what decks are rendered with, from Debian's packages
TASK ?= Make a five-slide deck about honey bees for a primary school class
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint system clean

demo: $(VENV)/installed
	@$(BIN)/autorl models fetch
	@$(BIN)/autorl solve "$(TASK)" || [ $$? -eq 1 ]  # 1: done, but the deck did not pass the checks

test: $(VENV)/tests-installed system lint
	@$(BIN)/autorl models fetch
	@$(BIN)/python -m pytest

lint: $(VENV)/tests-installed
	@$(BIN)/ruff check .
	@$(BIN)/mypy

LACKING = from autorl.content import load_pack; load_pack("slides"); \
  from autorl_tools.slides.libreoffice import lacking; print(*sorted(set(lacking().values())))

# Where this cannot install them, the tests that need them say so.
system: $(VENV)/installed
	@packages=$$($(BIN)/python -c '$(LACKING)') || exit 1; [ -z "$$packages" ] && exit 0; \
	[ "$$(id -u)" -eq 0 ] && as_root="" || as_root="sudo -n"; \
	echo "Installing $$packages"; \
	command -v apt-get >/dev/null && $$as_root apt-get update -qq && \
	  $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$packages || \
	  echo "That did not work. Decks are rendered once you have installed, as Debian names them: $$packages"

# The stamps make a second call cost nothing, and need no network.
$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else \
	  "autorl needs Python 3.11 or later, this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing autorl and what it needs into $(VENV)"
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --editable .
	@touch $@

$(VENV)/tests-installed: $(VENV)/installed
	@echo "Installing what the tests need into $(VENV)"
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --editable '.[test]'
	@touch $@

clean:
	rm -rf $(VENV)
