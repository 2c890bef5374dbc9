"""Intervals and paths from past errors."""
