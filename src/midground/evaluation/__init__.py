"""How well two images can be matched once they are mapped: what models are chosen and compared by."""
