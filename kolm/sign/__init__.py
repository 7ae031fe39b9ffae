"""Claims: statements about a bundle, the envelopes and keys that sign them, and whom to trust."""
