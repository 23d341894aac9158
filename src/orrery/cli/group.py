"""The group that the commands join, and how a mistake is told."""

from __future__ import annotations

import errno
import sys

import click

from orrery import __version__
from orrery.errors import OrreryError

# A disk or a permission that is at fault, wherever it shows: no traceback helps. Every other OSError is a bug.
ENVIRONMENT = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


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
    except OSError as error:
        if error.errno not in ENVIRONMENT:
            raise
        click.echo(
            f"orrery: {error.filename or 'a file'}: {error.strerror}; free space or check the path", err=True
        )
        sys.exit(2)
