"""Dossier: what the European Union asks of whoever provides a general-purpose AI model.

Annexes XI and XII of Regulation (EU) 2024/1689, and the Commission's template for the public
summary of training content (Article 53(1)(d), 24 July 2025). The points are in kolm's words; which
of them bind the reader's model is a question of law that no tool answers.
"""

from __future__ import annotations

from typing import Final

from kolm.dossier.forms import Form, Point

_LAW: Final = (
    "Who only modifies a model answers for the modification (recital 109): what is "
    "said here is of the adapter and its training, and the base has documents of its own. Points "
    "in kolm's words; the regulation's text decides."
)

ANNEX_XI: Final = Form(
    "xi",
    "Technical documentation: Annex XI",
    f"Regulation (EU) 2024/1689, Annex XI, section 1 (Article 53(1)(a)). {_LAW} Section 2 is for "
    "models with systemic risk and is not answered here.",
    (
        (
            "1. General description",
            (
                Point("1", "which model, and who provides it"),
                Point("1(a)", "tasks, and AI systems that it can be part of"),
                Point("1(b)", "policies of acceptable use"),
                Point("1(c)", "day of release, ways of distribution"),
                Point("1(d)", "architecture, number of parameters"),
                Point("1(e)", "modality and format of inputs and outputs"),
                Point("1(f)", "licence"),
            ),
        ),
        (
            "2. Elements and development",
            (
                Point("2(a)", "technical means for integration"),
                Point("2(b)", "design, training, choices, what is optimised for"),
                Point("2(c)", "data for training, testing and validation"),
                Point("2(d)", "computational resources: operations, time"),
                Point("2(e)", "energy, known or estimated"),
            ),
        ),
    ),
)

ANNEX_XII: Final = Form(
    "xii",
    "Information for downstream providers: Annex XII",
    f"Regulation (EU) 2024/1689, Annex XII (Article 53(1)(b)). {_LAW}",
    (
        (
            "1. General description",
            (
                Point("1", "which model"),
                Point("1(a)", "tasks, and AI systems that it can be part of"),
                Point("1(b)", "policies of acceptable use"),
                Point("1(c)", "day of release, ways of distribution"),
                Point("1(d)", "how it interacts with other hardware and software"),
                Point("1(e)", "versions of software that matters for its use"),
                Point("1(f)", "architecture, number of parameters"),
                Point("1(g)", "modality and format of inputs and outputs"),
                Point("1(h)", "licence"),
            ),
        ),
        (
            "2. Elements and development",
            (
                Point("2(a)", "technical means for integration"),
                Point("2(b)", "inputs and outputs with their largest size"),
                Point("2(c)", "data for training, testing and validation"),
            ),
        ),
    ),
)

TRAINING_CONTENT: Final = Form(
    "content",
    "Public summary of training content",
    "After the template of the European Commission of 24 July 2025 (Regulation (EU) 2024/1689, "
    f"Article 53(1)(d)). {_LAW}",
    (
        (
            "1. General information",
            (
                Point("1.1", "provider and authorised representative"),
                Point("1.2", "model, what it depends on, day of release"),
                Point("1.3", "modalities, size and characteristics of the training data"),
            ),
        ),
        (
            "2. Sources of data",
            (
                Point("2.1", "publicly available data sets"),
                Point("2.2", "private data sets of third parties"),
                Point("2.3", "data crawled from online sources"),
                Point("2.4", "data of users"),
                Point("2.5", "synthetic data"),
                Point("2.6", "other sources"),
            ),
        ),
        (
            "3. Processing",
            (
                Point("3.1", "reservations of rights"),
                Point("3.2", "removal of illegal content"),
                Point("3.3", "other information"),
            ),
        ),
    ),
)
