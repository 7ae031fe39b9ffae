"""Evaluate: a trained adapter answers every declared case, beside its base and a blind control.

    lock, cases, adapter ──plan──► batches ──predict──► answers ──score──► predictions.jsonl
                                                  └─latency──► measurements.json

Runs in a child process (`worker`), so that settings which must precede torch are in force. Scores
and statistics are not made here: kolm/score makes them, for evaluation and verification alike.
"""
