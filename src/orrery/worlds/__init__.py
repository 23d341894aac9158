"""Twins: seeded truth of a surface, and what each instrument would record of it."""
