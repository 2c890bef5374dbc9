"""Backtests: origins, opponents, scores, tests, leak checks, search."""
