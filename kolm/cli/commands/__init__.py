"""One module a command, each with an object ``command``; imported when it is called, not before."""
