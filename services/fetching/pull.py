"""From a name in the catalogue, or a file, to checkpoints in the user's folder of models."""

import shutil
from pathlib import Path
from typing import Final

from protocol.errors import BadRequestError, StorageError, WeightsError
from services.catalogue import (
    BUNDLED,
    HUB,
    OPEN_CLIP,
    PACKAGE,
    Model,
    all_models,
    classifier_model,
    open_clip_model,
)
from services.fetching.download import sha256_of
from services.fetching.folder import downloads_folder, metadata_of, models_folder, role_of
from services.fetching.sandbox import Known, Say, check_name, convert

DISCRIMINATOR: Final = "-discriminator"
NVIDIA_NOTE: Final = "its weights may be used for research and evaluation only, not commercially"


def pull(name: str, say: Say) -> list[Path]:
    """Fetch a model and convert it once; nothing is done for one that is here.

    Raises:
        GlasshouseError: why it is not here now, and what to do.
    """
    model = row_of(name)
    if model.source == BUNDLED:
        say(f"{name} comes with Glasshouse")
        return [model.path]
    if model.source.startswith(PACKAGE):
        raise BadRequestError(f"{name} belongs to {model.source}, which looks after its files")
    if model.here:
        say(f"{name} is here already")
        return [model.place]
    if model.role == "classifier" and model.source:
        from services.fetching.classifiers import fetch_classifier

        return [fetch_classifier(model)]
    if model.source == "":
        raise BadRequestError(f"{name} was added by you and cannot be fetched; add it again")
    say(f"{name}: {model.licence}" + (f"; {NVIDIA_NOTE}" if "NVIDIA" in model.licence else ""))
    folder = downloads_folder() / name
    source = _fetched(model, folder)
    say("converting")
    made = convert(source, models_folder(), name.removesuffix(DISCRIMINATOR), _known(model), say)
    shutil.rmtree(folder, ignore_errors=True)
    return made


def add(name: str, file: Path, known: Known, say: Say) -> list[Path]:
    """Register a file of the user's as `name`, converted if it is not one of our checkpoints.

    Raises:
        GlasshouseError: the name or the file cannot be used.
    """
    row = next((model for model in all_models() if model.name == name), None)
    if row is not None and row.source == BUNDLED:
        raise BadRequestError(f"{name} comes with Glasshouse; choose another name for {file}")
    check_name(name)
    role = role_of(str(metadata_of(file).get("architecture", "")))
    if role is not None and row is not None and row.role != role:
        raise WeightsError(f"{file} holds a {role}, but {name} is a {row.role}")
    if role is not None:
        _check_whole(file)
        return [_copied(file, models_folder() / f"{name}.safetensors")]
    if known == Known() and (row is not None or ":" in name):
        known = _known(row or open_clip_model(name))
    made = convert(file, models_folder(), name.removesuffix(DISCRIMINATOR), known, say)
    if row is not None and row.sha256 and (found := sha256_of(file)) != row.sha256:
        say(
            f"{file} is not the published file of {name} (its SHA-256 is {found[:12]}…, that one's "
            f"{row.sha256[:12]}…); it serves as {name} all the same, because you said so"
        )
    if not any(path.stem == name for path in made):
        found = ", ".join(path.stem for path in made)
        raise WeightsError(f"{file} holds no {name}, but {found or 'nothing'}, which is kept")
    return made


def _known(model: Model) -> Known:
    return Known(model.open_clip, model.bar_rows)


def row_of(name: str) -> Model:
    """The model of this name, of whatever role.

    Raises:
        BadRequestError: there is none.
    """
    for model in all_models():
        if model.name == name:
            return model
    if found := classifier_model(name):
        return found
    if ":" in name:
        return open_clip_model(name)
    raise BadRequestError(f"there is no model '{name}'; see: orchestrator models")


def _fetched(model: Model, folder: Path) -> Path:
    """The file to convert; what belongs to it lies beside it."""
    if model.source == OPEN_CLIP:
        from services.fetching.open_clips import fetch_clip

        return fetch_clip(model.open_clip, folder)
    if model.source.startswith(HUB):
        from services.fetching.hub import fetch

        repository, name = model.source.removeprefix(HUB).rsplit("/", 1)
        return fetch(repository, (name, *model.beside), folder)
    from services.fetching.download import Address, download

    for url in model.beside:
        download(Address(url), folder)
    return download(Address(model.source, model.sha256, model.size_bytes), folder)


def _check_whole(file: Path) -> None:
    """Refuse a checkpoint of ours that was cut off or damaged on its way here.

    Raises:
        WeightsError: its header does not fit its length.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "np"):
            return
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{file} is cut off or damaged ({error}); copy it again") from error


def _copied(file: Path, place: Path) -> Path:
    part = place.with_name(f".{place.name}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, part)
        part.replace(place)
    except OSError as error:
        raise StorageError(
            f"{file} cannot be copied to {place.parent}: {error.strerror}; make room, or choose "
            "another place with GLASSHOUSE_MODELS"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return place
