"""What is read off the rows before an origin: transforms, seasons, codes of static columns."""
