"""One page a system, for a person: figures, pictures, verdicts and where all of it came from."""
