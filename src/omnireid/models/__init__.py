"""The OSNet family: networks, cards, weights. `cards`, `config` and `pull` need no torch."""
