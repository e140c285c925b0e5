"""Names that several packages share."""

INPUT = "input"  # the layer that is the data itself
PCA = "pca"  # the estimator that reads activations, not neighbor lists
BY_CLASS = "-classes"  # ends the name of a set of samples whose classes are measured one by one
