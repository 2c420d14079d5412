"""Training losses. Needs torch."""
