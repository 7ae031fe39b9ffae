"""Roles of MiniCPM-V 4.7.

As 4.6, with positions of three axes: the slices of a picture lie on one canvas. The table is of
bases without experts. Source: transformers, ``modeling_minicpmv4_7.py`` and
``processing_minicpmv4_7.py``.
"""

from __future__ import annotations

from kolm.roles import minicpmv4_6

FAMILY = minicpmv4_6.FAMILY._replace(
    model_type="minicpmv4_7", license_note="that of the base's own card"
)
