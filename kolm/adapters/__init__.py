"""Adapters: PEFT puts a method on a model with the very config that the bundle will hold."""
