"""Export with proof: a network as one file for another engine, and how far that file is from it.

Reading metadata needs no torch.
"""
