"""What the tests of faults share. Those that take long are marked `slow_faults`: `make test-faults` runs all."""
