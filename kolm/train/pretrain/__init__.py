"""Train: the embedded base, from nothing, on scenes that it draws itself.

    python -m kolm.train.pretrain --out DIR --minutes 75      train; run it again to resume
    python -m kolm.train.pretrain --export DIR --to FOLDER    write a model folder
    python -m kolm.train.pretrain --evaluate FOLDER           held-out accuracy of each skill

Not part of the line that data follows: whoever has the wheel has the weights. `batches` draws,
`learning` says what is learned and how fast, `run` trains in a folder, `skills` measures.
"""
