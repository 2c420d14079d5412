"""OSNet's training step on a CPU: fused kernels, forward and backward, that equal the readable network."""
