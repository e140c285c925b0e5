"""The tables: LLID, PID, every measure, how they correlate with generalization, and the findings in words."""
