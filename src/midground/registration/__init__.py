"""From two images to a transform with a verdict."""
