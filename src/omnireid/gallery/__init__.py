"""The identity gallery: enrol, search, decide, and forget for good."""
