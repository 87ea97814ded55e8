"""Networks that make the shared modality, and their way into a model bundle."""
