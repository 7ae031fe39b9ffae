"""Train: the lock and the captures become an adapter, a trace and the evidence of what changed.

    plan ──► prepare ──► loop ⇄ checkpoints ──► evidence ──► adapter_model.safetensors

Training runs in a child process (`worker`), so that its numbers depend on nothing that the parent
imported. `profile` is the torch-free part that the parent uses.
"""
