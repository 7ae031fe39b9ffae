"""The format: rules that a compile writes by and a verifier recomputes with, each one function.

Pure functions of bytes and documents, under everything that uses them; nothing here reads a user's
file, a clock or the environment. The normative texts are in docs/format/.
"""
