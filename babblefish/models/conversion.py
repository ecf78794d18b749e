"""Converting a pulled model for CTranslate2, once, with its own converter.

The converter reads the published weights with transformers and PyTorch. Only it needs them; what it makes runs without.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from pathlib import Path

from babblefish.errors import SetupError
from babblefish.models import store
from babblefish.models.catalogue import ConvertedAsset
from babblefish.models.store import FileRecord, Manifest, Report

INSTALL_COMMAND = "pip install 'babblefish[embedded,cascade]'"
"""The command that installs the packages a conversion needs."""

_PACKAGES = ("ctranslate2", "torch", "transformers")
_TOKENIZER = "tokenizer.json"


def require_converter(asset: ConvertedAsset) -> None:
    """Refuse what cannot be converted here; cheap, as packages are looked for and not imported.

    Raises:
        SetupError: A package is missing; the message names the commands to run.
    """
    absent = [package for package in _PACKAGES if importlib.util.find_spec(package) is None]
    if absent:
        raise SetupError(
            f"{asset.name} is converted from {asset.origin.name}, which needs {', '.join(absent)}: run "
            f"{INSTALL_COMMAND}, then babblefish models pull {asset.name}; or convert it on another machine and copy "
            f"it from there: babblefish models pull {asset.name} --from FOLDER"
        )


def convert(asset: ConvertedAsset, model_dir: Path, report: Report) -> None:
    """Make an asset from its origin; it appears in the model folder complete, with a manifest, or not at all.

    Args:
        asset: What to make.
        model_dir: The model folder, which holds the origin and in which no other installation runs.
        report: Given a line before and after.

    Raises:
        SetupError: The converter does not take the origin, or the disk has no room.
        OSError: The disk cannot be written to, or is full.
    """
    origin, target = model_dir / asset.origin.path, model_dir / asset.path
    store.check_space(model_dir, asset.approximate_bytes)
    report(f"{asset.name}: converting {asset.origin.name} to int8, once")
    with tempfile.TemporaryDirectory(dir=model_dir, prefix=store.SCRATCH_PREFIX) as name:
        made = Path(name) / "made"
        _run_converter(origin, made)
        shutil.copyfile(origin / _TOKENIZER, made / _TOKENIZER)
        names = store.wanted(asset, [path.name for path in made.iterdir()])
        if store.lacking(asset, names):
            raise SetupError(f"the converter made no {', '.join(store.lacking(asset, names))} out of {origin}")
        records = {file: FileRecord((made / file).stat().st_size, store.sha256(made / file)) for file in names}
        published = store.read_manifest(origin)
        store.write_manifest(made, Manifest(asset.origin.repository, published.commit if published else "", records))
        store.remove(target)
        made.rename(target)
    size = store.megabytes(sum(record.size_bytes for record in records.values()))
    report(f"{asset.name}: converted, {size} MB; {origin} is no longer needed")


def _run_converter(origin: Path, made: Path) -> None:
    from ctranslate2.converters import TransformersConverter

    try:
        TransformersConverter(str(origin)).convert(str(made), quantization="int8")
    except OSError as error:
        if error.errno is not None:
            raise
        raise _not_convertible(origin, error) from error
    except Exception as error:  # the files' content decides which of three libraries fails on it, and how
        raise _not_convertible(origin, error) from error


def _not_convertible(origin: Path, error: Exception) -> SetupError:
    return SetupError(f"{origin} cannot be converted ({store.first_line(error)}); delete it and pull again")
