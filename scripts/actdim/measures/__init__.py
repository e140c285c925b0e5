"""What a checkpoint tells besides the ID: reliance on single directions, class selectivity, functional dimension.

`table` lists the measures; a new one is a line there, its method a file here. `settings` says what a study can choose
of them, `work` what their jobs cost. Those three import no torch, because Snakemake plans by them.
"""
