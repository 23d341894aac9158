"""From a pixel back to what made it: product, model version, run, commit, data, source products; each link verified."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import rasterio
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from pydantic import TypeAdapter
from rasterio.errors import RasterioError

import orrery
from orrery.errors import OrreryError
from orrery.files import reading, sha256
from orrery.tracking.provenance import UNKNOWN, git, git_commit, git_dirty, parse_pointer
from orrery.tracking.registry import LoadedModel
from orrery.tracking.root import checkout_root, project_root
from orrery.tracking.store import connect

State = Literal["ok", "broken", "unknown"]
PREFIX = "orrery_"  # GDAL would cut a name at a colon
POINTER = Path("data.dvc")
CACHES = (Path(".dvc/cache/files/md5"), Path("remote/files/md5"))


@dataclass(frozen=True)
class Link:
    """One step back from a product.

    Attributes:
        name: of the step.
        value: what the product says.
        state: ok where it was verified, broken where it is wrong or gone, unknown where it cannot be told here.
        detail: why, where it is not ok.
    """

    name: str
    value: str
    state: State
    detail: str = ""


@dataclass(frozen=True)
class Lineage:
    """All links of a product, nearest first."""

    product: Path
    links: list[Link]

    @property
    def broken(self) -> bool:
        """Whether any link is broken."""
        return any(link.state == "broken" for link in self.links)

    def lines(self) -> list[str]:
        """One line a link, for a person."""
        width = max(len(link.name) for link in self.links)
        told = [
            f"{link.name:<{width}}  {link.state:<7}  {link.value}" + f"  ({link.detail})" * bool(link.detail)
            for link in self.links
        ]
        return [str(self.product), *told]


def product_tags(
    model: LoadedModel,
    sources: Mapping[str, Path],
    params_digest: str,
    product: Path,
    *,
    checkout: Path | None = None,
) -> dict[str, str]:
    """What to put into a product's GeoTIFF tags and STAC properties, so that `trace` finds back.

    Args:
        model: that made it.
        sources: role -> file that went in, e.g. ``{"image": …, "dem": …}``.
        params_digest: of the parameters in force.
        product: where it will be; sources are named relative to it, so that the tags hold no one's home directory.
        checkout: the clone whose code makes it [default: around the current directory].
    """
    checkout = checkout or checkout_root()
    folder = product.resolve().parent
    files = [
        {"role": role, "path": os.path.relpath(path.resolve(), folder), "sha256": sha256(path)}
        for role, path in sources.items()
    ]
    tags = {
        "version": orrery.__version__,
        "model": model.system,
        "model_version": model.version,
        "run_id": model.run_id,
        "trained_commit": model.tags.get("git.commit", UNKNOWN),
        "trained_dirty": model.tags.get("git.dirty", UNKNOWN),
        "data_md5": model.tags.get("data.md5", UNKNOWN),
        "commit": git_commit(checkout),
        "dirty": git_dirty(checkout),
        "params_sha256": params_digest,
        "sources": json.dumps(files, sort_keys=True),
    }
    return {f"{PREFIX}{name}": value for name, value in tags.items()}


def trace(product: Path, *, root: Path | None = None) -> Lineage:
    """Follow a product back, verifying each link.

    Args:
        product: a GeoTIFF with the tags of `product_tags`.
        root: the clone with the runs [default: `project_root()`].

    Raises:
        OrreryError: the product cannot be read, or carries no lineage at all.
    """
    tags = read_tags(product)
    root = root or project_root()
    links = [_code("product made by", tags["commit"], tags["dirty"], root)]
    links += _registered(tags, root)
    links.append(_code("trained by commit", tags["trained_commit"], tags["trained_dirty"], root))
    links.append(_data(tags, root))
    links.append(_scenes(tags["data_md5"], root))
    links += [_source(item, product) for item in _sources(tags["sources"], product)]
    return Lineage(product, links)


def _sources(text: str, product: Path) -> list[dict[str, str]]:
    """What a product's tag tells of each file that went in."""
    with reading(
        product, "a product whose tag sources is a list of files", "make it anew with `orrery predict`"
    ):
        found = TypeAdapter(list[dict[str, str]]).validate_json(text)
        if any(not {"role", "path", "sha256"} <= set(each) for each in found):
            raise ValueError("lacks role, path or sha256")
    return found


def read_tags(product: Path) -> dict[str, str]:
    """The lineage tags of a GeoTIFF, without their prefix.

    Raises:
        OrreryError: it cannot be read, or lacks some.
    """
    try:
        with rasterio.open(product) as dataset:
            found = {
                key.removeprefix(PREFIX): text
                for key, text in dataset.tags().items()
                if key.startswith(PREFIX)
            }
    except (RasterioError, OSError) as error:
        raise OrreryError(
            "is not a readable raster", file=product, remedy="give the .tif that `orrery predict` wrote"
        ) from error
    wanted = (
        "model",
        "model_version",
        "run_id",
        "trained_commit",
        "trained_dirty",
        "data_md5",
        "commit",
        "dirty",
        "sources",
    )
    missing = [name for name in wanted if name not in found]
    if missing:
        raise OrreryError(
            f"carries no lineage ({', '.join(missing)} missing)",
            file=product,
            remedy="make it anew with `orrery predict`",
        )
    return found


def _code(name: str, commit: str, dirty: str, root: Path) -> Link:
    """A commit that git knows, and that held all of the code."""
    if git(root, "rev-parse", "--git-dir") is None or commit == UNKNOWN:
        return Link(name, commit, "unknown", "no git here, or none when it was made")
    if git(root, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        return Link(name, commit, "broken", "git does not know this commit; fetch the branch it was made on")
    if dirty != "false":
        return Link(name, commit, "unknown", "the code had changes that were not committed")
    return Link(name, commit, "ok")


def _registered(tags: Mapping[str, str], root: Path) -> list[Link]:
    """The model version, and the run that it must name."""
    name, run_id = f"{tags['model']} version {tags['model_version']}", tags["run_id"]
    try:
        client = connect(root)
    except OrreryError as error:
        return [Link("model", name, "unknown", error.problem), Link("run", run_id, "unknown", error.problem)]
    return [_model(client, tags, name), _run(client, tags)]


def _model(client: MlflowClient, tags: Mapping[str, str], name: str) -> Link:
    try:
        version = client.get_model_version(tags["model"], tags["model_version"])
    except MlflowException:
        return Link("model", name, "broken", "the registry has no such version")
    if version.run_id != tags["run_id"]:
        return Link("model", name, "broken", f"the registry says that run {version.run_id} trained it")
    return Link("model", name, "ok")


def _run(client: MlflowClient, tags: Mapping[str, str]) -> Link:
    try:
        run = client.get_run(tags["run_id"])
    except MlflowException:
        return Link("run", tags["run_id"], "broken", "no such run")
    said = {"git.commit": tags["trained_commit"], "data.md5": tags["data_md5"]}
    other = [
        f"{key} {run.data.tags.get(key)}" for key, value in said.items() if run.data.tags.get(key) != value
    ]
    if other:
        return Link("run", tags["run_id"], "broken", f"the run says {', '.join(other)}")
    if run.info.lifecycle_stage != "active":
        return Link(
            "run", tags["run_id"], "broken", "the run was deleted; restore it with `mlflow runs restore`"
        )
    return Link("run", tags["run_id"], "ok")


def _data(tags: Mapping[str, str], root: Path) -> Link:
    """data.dvc as it was at the commit of the training."""
    md5, commit = tags["data_md5"], tags["trained_commit"]
    text = git(root, "show", f"{commit}:{POINTER}")
    if md5 == UNKNOWN or text is None:
        return Link("data.dvc", md5, "unknown", f"no {POINTER} at that commit here")
    recorded = parse_pointer(text, POINTER)
    if recorded != md5:
        state: State = "broken" if tags["trained_dirty"] == "false" else "unknown"
        return Link("data.dvc", md5, state, f"at that commit it says {recorded}")
    return Link("data.dvc", md5, "ok")


def _scenes(md5: str, root: Path) -> Link:
    """The products that data.dvc stands for, by DVC's own list of them."""
    for cache in CACHES:
        listing = root / cache / md5[:2] / md5[2:]
        if listing.exists():
            with reading(listing, "DVC's list of files", "run `dvc fetch data.dvc`"):
                files = [Path(entry["relpath"]) for entry in json.loads(listing.read_text(encoding="utf-8"))]
            scenes = sorted({file.parent.as_posix() for file in files})
            return Link("data holds", f"{len(scenes)} scenes, {len(files)} files: {', '.join(scenes)}", "ok")
    return Link(
        "data holds", md5, "unknown", "the list of files is in no DVC cache here; run `dvc fetch data.dvc`"
    )


def _source(item: Mapping[str, str], product: Path) -> Link:
    """A file that went in: unchanged, changed or elsewhere."""
    name, path = f"source {item['role']}", product.parent / item["path"]
    value = f"{item['path']} sha256 {item['sha256'][:12]}"
    if not path.exists():
        return Link(name, value, "unknown", "the file is not there any more")
    if sha256(path) != item["sha256"]:
        return Link(name, value, "broken", "the file was changed since")
    return Link(name, value, "ok")
