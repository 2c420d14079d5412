"""Ranking metrics: arrays in, value types out. Imports no torch."""
