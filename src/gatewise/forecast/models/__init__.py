"""What forecasts: two models, how one is chosen and fitted, and how it is written to a file."""
