"""Pairs of SAR and optical images of the same places: folders, tables of files, packed archives."""
