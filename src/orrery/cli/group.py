"""The group that the commands join, and how a mistake is told."""

from __future__ import annotations

import errno
import os
import sys

import click

from orrery import __version__
from orrery.errors import OrreryError

# A disk or a permission that is at fault, wherever it shows: no traceback helps. Every other OSError is a bug.
ENVIRONMENT = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}
# The same as libraries of other languages say it.
SAID = {
    "No space left on device": errno.ENOSPC,
    "database or disk is full": errno.ENOSPC,
    "Read-only file system": errno.EROFS,
    "readonly database": errno.EROFS,
}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    r"""Raw images of the Moon, Mars and Jupiter into calibrated, georeferenced maps with learned models.

    \b
    The pipeline (dvc repro runs these, each can be run by hand):
      ingest  ->  align  ->  gate  ->  patch  ->  [tune]  ->  train  ->  evaluate  ->  tables  ->  register  ->  promote
    A model at work:
      orrery predict lunar-dtm --image IMAGE --dem DEM --out FOLDER
      orrery predict mars-bands --image IMAGE --out FOLDER
      orrery predict kaguya-disparity --left TC1 --right TC2 --out FOLDER
      orrery restore mars-bands --cube CUBE --image IMAGE --out FOLDER
      orrery lineage FOLDER/dtm.tif
    """


def main() -> None:
    """Run the command line; a user's mistake is one line and exit status 2."""
    try:
        cli()
    except OrreryError as error:
        click.echo(f"orrery: {' '.join(str(error).split())}", err=True)
        sys.exit(2)
    except Exception as error:  # raised again, unless a disk or a permission is behind it
        told = environment(error)
        if told is None:
            raise
        click.echo(f"orrery: {told}; free space or check the path", err=True)
        sys.exit(2)


def environment(error: BaseException | None) -> str | None:
    """What of the disk or its permissions is behind an error, or behind what it was raised from; None where nothing is."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in ENVIRONMENT:
            return f"{error.filename or 'a file'}: {error.strerror}"
        said = next((number for text, number in SAID.items() if text in str(error)), None)
        if said is not None:
            return f"a file: {os.strerror(said)}"
        error = error.__cause__ or error.__context__
    return None
