"""Value types and arithmetic on NumPy alone: no raster, image or network library is imported here."""
