"""Procedural optical/SAR scene pairs with a known transform: for the demo, for tests and for training.

A landscape (relief, rivers and lakes, fields, woods, roads, settlements) is drawn on a grid of twice the images'
resolution and seen by two sensors. What each rendering models, and what it leaves out, is told at the top of
``optical`` and ``sar``; ``sar`` also tells how far the truth is from what a correlation finds.

``truth.json`` (schema ``midground/truth/1``) holds:

- ``fixed``, ``moving``: names of the two files; ``crs``: what both claim.
- ``fixed_from_moving``: 3x3, from pixel centres of the SAR file to those of the optical file.
- ``shift_m``: [east, north] by which the SAR file's georeference must move at its centre to be right.
- ``rotation_deg``, ``scale``: clockwise turn and growth about its centre that it also lacks.
- ``seed``, ``size_px``, ``gsd_m``, ``looks``: parameters of the scene.
- ``sun``, ``orbit``: ``azimuth_deg`` and ``elevation_deg``; ``is_ascending``, ``look_azimuth_deg``, ``incidence_deg``.
- ``max_local_displacement_px``: bound on the local displacement that the simulated terrain correction leaves.
"""

from midground.simulate.config import SceneConfig
from midground.simulate.render import RenderedPair, render_pair
from midground.simulate.scene import SimulatedPair, simulate_scene_pair

__all__ = ["RenderedPair", "SceneConfig", "SimulatedPair", "render_pair", "simulate_scene_pair"]
