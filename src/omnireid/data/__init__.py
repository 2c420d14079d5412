"""From files on disk to batches: readers, validation, samplers, loading, augmentation.

Only augmentation (`augmentation`, `augmix`, `erasing`, `patch_pool`) needs torch.
"""
