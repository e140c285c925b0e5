PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: results test check clean

results: $(VENV)/installed  ## everything: train, estimate, tabulate, plot, report
	snakemake --cores all
	@echo "Tables:  $(CURDIR)/results/tables"
	@echo "Figures: $(CURDIR)/results/figures"
	@echo "Report:  $(CURDIR)/results/report.html"

test: $(VENV)/installed  ## every test, in the same environment
	python -m pytest

check: $(VENV)/installed  ## formatting and lint alone
	python -m pytest tests/test_style.py

clean:  ## remove the environment; results stay
	rm -rf $(VENV)

$(VENV)/installed: envs/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --requirement envs/requirements.txt
	cd scripts && python -m actdim.compiled  # once, for half a minute
	touch $@
