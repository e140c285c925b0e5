"""Tests with faults: killed processes, full disks, corrupt files, values that are not finite, hostile input."""
