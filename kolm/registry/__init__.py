"""Registries: where bundles are published under names and versions, and found again.

A registry is a place, not an authority: what a name means is said by entries that trusted keys
have signed, and everything that is read from it is checked here.
"""
