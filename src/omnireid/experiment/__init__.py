"""From dataset and model to a result record: train, evaluate, and the main job that does both.

Evaluating needs no torch.
"""
