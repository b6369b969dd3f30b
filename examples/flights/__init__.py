"""336,776 real events through eventlog: every flight that left New York City in 2013."""
