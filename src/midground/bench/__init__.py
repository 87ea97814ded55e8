"""Benchmarks of mappers and matchers: matches are kept on disk, and measured as often as one likes."""
