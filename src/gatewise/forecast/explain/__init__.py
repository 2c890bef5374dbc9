"""What a fitted forecaster makes of its drivers, and what its LSTM makes of the forecast."""
