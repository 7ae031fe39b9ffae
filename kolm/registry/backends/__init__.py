"""Where a registry's bytes live, one file a kind of place: `backend.py` says what each offers."""
