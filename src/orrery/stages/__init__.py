"""One module a DVC stage: parse, call, write; no logic of its own."""
