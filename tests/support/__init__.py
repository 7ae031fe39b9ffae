"""Things that several parts of the tests build on."""
