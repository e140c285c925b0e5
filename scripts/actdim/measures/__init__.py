"""What a checkpoint tells besides the ID: reliance on single directions, class selectivity, functional dimension."""
