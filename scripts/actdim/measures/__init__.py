"""Measures besides the ID: of a checkpoint (single directions, functional dimension, norms), of neighbor lists
(neighborhoods), and of a spectrum (the null of LLID).

`table` lists the measures; a new one is a line there, its method a file here. `settings` says what a study can choose
of them, `work` what their jobs cost. Those three import no torch, because Snakemake plans by them.
"""
