"""One frozen dataclass a document: values without logic. The schemas are the source of truth."""
