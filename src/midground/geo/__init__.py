"""Rasters with a place on the Earth: the only layer that knows GDAL, map projections and half pixels."""
