"""Embeddings from model files: the Embedder over its backends, export with a proof, storage.

Only export and the backends of torch need torch.
"""
