"""A study: from its YAML file to checked settings, runs, stages, and the files that the workflow makes of it."""
