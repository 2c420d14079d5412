"""Inference engines behind one protocol, in one table."""
