"""Places in three dimensions, their cameras, who walks there, and the pictures and films of it."""
