"""Verification: recheck a bundle without trusting its publisher.

Reaches no model, no network, no image library and no code from a bundle; see verifier.py.
"""
