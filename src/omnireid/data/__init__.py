"""From files on disk to batches: readers, validation, samplers, loading, augmentation.

Only `omnireid.data.augmentation` needs torch.
"""
