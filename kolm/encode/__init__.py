"""Encode: captures become token ids, label spans, image uses and padded batches.

    capture ──skeleton──► pieces ──control──► ids ──budget──► Example ──order, batches──► Batch

Training and evaluation call the same `Encoder`, so the prompt that a model is scored on is the
prompt that it was trained on, token for token.
"""
