"""The embedded base, from nothing, on scenes that it draws itself.

    python -m tools.pretrain --out DIR --minutes 75      train; run it again to resume
    python -m tools.pretrain --export DIR --to FOLDER    write a model folder
    python -m tools.pretrain --evaluate FOLDER           held-out accuracy of each skill

Not part of the wheel, which has the weights. `batches` draws `scenes` and asks `questions`,
`learning` says what is learned and how fast, `run` trains in a folder, `skills` measures.
"""
