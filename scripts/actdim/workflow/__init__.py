"""What only Snakemake and the plan need: memory and time of jobs, and what studies will cost."""
