"""Networks by families, cards, weights. Cards, configurations and `pull` need no torch."""
