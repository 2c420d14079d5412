"""Fast forms of OSNet, derived from the readable module and equal to it."""
