"""Objectives: one file a training objective; each turns a batch into a summed loss."""
