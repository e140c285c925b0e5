"""How well a measure predicts generalization, by the statistics of two papers that asked it of many measures.

Jiang et al. 2020, Fantastic generalization measures and where to find them (arXiv 1912.02178): granulated.py and
information.py. Dziugaite et al. 2020, In search of robust measures of generalization (arXiv 2010.11924):
sign_errors.py. Rank correlations given the settings, and the gain of predicting from settings and measure over settings
alone: correlations.py and gain.py.

Notation: a study has R runs of S settings, which vary along A axes (the hyperparameters). x is a measure and y a
target, such as the generalization gap, both averaged over the seeds of a setting, except for sign errors, which pair
runs.

Every statistic is a function of a Grid (grid.py) and of values with one column for each *draw*: draw 0 is the data as
they are, and each of the others is a resample. So the same code computes a statistic and its interval.
"""
