PYTHON ?= python3
VENV := .venv
PEERS := .venv-peers
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: results test quick test-faults check docs benchmarks clean

results: $(VENV)/installed  ## everything: train, estimate, tabulate, plot, report
	snakemake --cores all
	@echo "Tables:  $(CURDIR)/results/tables"
	@echo "Figures: $(CURDIR)/results/figures"
	@echo "Report:  $(CURDIR)/results/report.html"

test: $(VENV)/installed $(PEERS)/installed  ## every test, in the same environment; folders of long ones come first
	python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

quick: $(VENV)/installed  ## in under a minute: the tests of the library that neither take seconds nor run Snakemake
	python -m pytest --numprocesses 2 --ignore tests/faults --ignore tests/slurm -m "not snakemake and not slow"

test-faults: $(VENV)/installed  ## faults at every moment in every rule, for hours; as root also full disks
	python -m pytest -m "" tests/faults

check: $(VENV)/installed  ## formatting and lint alone
	python -m pytest tests/test_style.py

docs: $(VENV)/installed  ## the documentation as a site, in docs/_build
	python -m sphinx --fail-on-warning docs docs/_build

benchmarks: $(VENV)/installed $(PEERS)/installed  ## the measured tables of the documentation, about an hour on 2 cores
	python benchmarks/neighbors.py
	python benchmarks/methods.py
	python benchmarks/intervals.py
	python benchmarks/training.py
	python benchmarks/activations.py
	python benchmarks/plan.py
	python benchmarks/directions.py
	python benchmarks/grokking.py
	python benchmarks/slurm.py

clean:  ## remove the environments; results stay
	rm -rf $(VENV) $(PEERS)

$(VENV)/installed: envs/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --requirement envs/requirements.txt
	cd scripts && python -m actdim.neighbors.precompile  # once, for half a minute
	touch $@

# Other libraries' estimators, to test and time ours against. DADApy needs an older numpy, and builds only like this.
$(PEERS)/installed: envs/peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet "setuptools<80" wheel cython "numpy<2"
	$(PEERS)/bin/pip install --quiet --no-build-isolation --requirement envs/peers.txt
	touch $@
