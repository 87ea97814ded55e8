"""Mappers: a SAR or optical image in, channels that both sensors share out."""
