"""Nearest neighbors of every point: which method to use (search.py), the exact and the approximate search, the audit of
the latter, and neighbors within random subsets (decimation.py).
"""
