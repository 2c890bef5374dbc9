"""A linear baseline and one network over windows, for tables with drivers."""
