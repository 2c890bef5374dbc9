"""Tables in, tables out: what a panel is, how time is read, written and continued."""
