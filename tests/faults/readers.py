"""Every way in for a file: small sound files, and what orrery makes of them."""

from __future__ import annotations
