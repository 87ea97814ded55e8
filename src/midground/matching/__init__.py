"""Matchers: two mapped images in, conjugate points out."""
