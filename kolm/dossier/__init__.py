"""Dossier: what regulators and buyers ask for, from one table of fields over a verified bundle.

Reading order: `fields` (what a field is, and how its standing follows from the audit), `table` (all
fields), `forms` (documents that are lists of points), then one file for each document.
"""
