"""The store: bytes on disk under their own digest, and nothing else. Knows no document."""
