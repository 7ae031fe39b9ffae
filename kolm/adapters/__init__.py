"""Adapters: one file a method of parameter-efficient fine-tuning. All of them honour the roles."""
