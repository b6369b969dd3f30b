"""336,776 real events, every flight that left New York City in 2013: from a producer to two groups, and back."""
