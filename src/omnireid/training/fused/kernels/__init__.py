"""Compiled loops of a training step. In a folder of their own: a change to any of them compiles all anew."""
