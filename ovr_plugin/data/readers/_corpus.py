"""Where a corpus lies: a folder, one file, an archive or a name on the Hub; its files, out.

An archive (zip, tar) is unpacked once, beside itself or below ``$OVR_CACHE``; pictures are used
from there. A member that would land outside, or a link that points outside, refuses the whole
archive: it was made to harm. ``hub:ORG/NAME`` or ``hub:ORG/NAME:CONFIG`` is loaded by ``datasets``,
whose cached Arrow files are then read like any others.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from lzma import LZMAError
from pathlib import Path, PurePosixPath

Location = str | Path
HUB = "hub:"
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
# What `datasets` writes beside the rows.
_BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, LZMAError),
    NotImplementedError,  # a way of compressing that zipfile does not know
)
NO_ROWS = {"dataset_dict.json", "dataset_info.json", "dataset_infos.json", "state.json"}


def resolved(path: Path) -> Path:
    """The path without links; of one whose links lead round in a circle, the path itself."""
    try:
        return path.resolve()
    except (RuntimeError, OSError):
        return path.absolute()


def corpus_files(location: Location, patterns: Iterable[str]) -> Iterator[tuple[Path, str]]:
    """Each file of a corpus: its root, which pictures may not leave, and the path below it.

    Args:
        location: see above. Of a folder all files that match a pattern are taken; where none does,
            the archives in it are unpacked. A single file is taken whatever it is called.
        patterns: globs, relative to the corpus.

    Raises:
        FileNotFoundError: nothing is there, or nothing that matches.
        ValueError: an archive that is broken or hostile; a name that the Hub does not give.
    """
    patterns = tuple(patterns)
    if str(location).startswith(HUB):
        yield from _hub_files(str(location).removeprefix(HUB))
        return
    path = Path(location).expanduser()
    if path.is_dir():
        yield from _folder_files(path, patterns)
    elif not path.is_file():
        raise FileNotFoundError(f"{path}: no such file or folder")
    elif _is_archive(path):
        yield from _folder_files(unpacked(path), patterns)
    else:
        root = _root_of(path.absolute(), patterns)
        yield root, path.absolute().relative_to(root).as_posix()


def _folder_files(root: Path, patterns: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    files = _matching(root, patterns)
    if files:
        yield from ((root, file) for file in files)
        return
    archives = sorted(path for path in root.iterdir() if path.is_file() and _is_archive(path))
    if not archives:
        raise FileNotFoundError(f"{root}: none of {', '.join(patterns)} is there")
    found = False
    for archive in archives:
        folder = unpacked(archive)
        # From above the archive's own name: train.zip says which split its files are of.
        for file in _matching(folder.parent, tuple(f"{folder.name}/{p}" for p in patterns)):
            found = True
            yield folder.parent, file
    if not found:
        names = ", ".join(archive.name for archive in archives)
        raise FileNotFoundError(f"{root}: none of {', '.join(patterns)} is there, nor in {names}")


def _matching(root: Path, patterns: tuple[str, ...]) -> list[str]:
    found = {path.relative_to(root) for glob in patterns for path in root.glob(glob)}
    return sorted(
        path.as_posix()
        for path in found
        if path.name not in NO_ROWS
        and not any(part.startswith(".") for part in path.parts)
        and (root / path).is_file()
    )


def _root_of(file: Path, patterns: tuple[str, ...]) -> Path:
    """The farthest folder from which a pattern finds ``file``; its own folder where none does."""
    for root in list(file.parents)[::-1]:
        below = file.relative_to(root).as_posix()
        if any(re.fullmatch(_regex(pattern), below) for pattern in patterns):
            return root
    return file.parent


def _regex(pattern: str) -> str:
    """Of a glob that begins where its first named part does."""
    escaped = re.escape(pattern.removeprefix("**/"))
    return escaped.replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")


def _is_archive(path: Path) -> bool:
    return path.name.lower().endswith(ARCHIVES)


def unpacked(archive: Path) -> Path:
    """The folder of an archive's files, unpacked if that has not been done.

    Raises:
        ValueError: a broken archive, or one with a member that leads outside.
        OSError: there is no room, or no leave to write; set ``OVR_CACHE`` to a folder with both.
    """
    archive = archive.absolute()
    target = _unpacked_at(archive)
    if target.is_dir() and target.stat().st_mtime >= archive.stat().st_mtime:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(
        tempfile.mkdtemp(prefix=f".{target.name}", suffix=".unpacking", dir=target.parent)
    )
    try:
        _unpack(archive, temporary)
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)
        os.utime(target)
    except _BROKEN as error:
        raise ValueError(f"{archive}: not a readable archive: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    target.chmod(0o755)
    return target


def _unpacked_at(archive: Path) -> Path:
    cache = os.environ.get("OVR_CACHE")
    parent = Path(cache).expanduser() / str(archive.parent)[1:] if cache else archive.parent
    return parent / f"{archive.name}.unpacked"


def file_at(location: Path, file: str) -> Path:
    """Where ``file``, a path below the root of the corpus at ``location``, is on the disk."""
    if location.is_file():
        return _unpacked_at(location.absolute()) / file if _is_archive(location) else location
    return location / file


def _unpack(archive: Path, folder: Path) -> None:
    if not archive.name.lower().endswith(".zip"):
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")  # raises for whatever leads outside
            # A member's header that is cut or broken ends the list of them without a word.
            assert tar.fileobj is not None  # noqa: S101 - it was opened by name
            tar.fileobj.seek(tar.offset)
            if tar.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0") or tar.fileobj.tell() == tar.offset:
                raise tarfile.ReadError(f"it breaks off after {len(tar.getnames())} members")
        return
    with zipfile.ZipFile(archive) as zipped:
        members = zipped.infolist()
        for member in members:
            name = PurePosixPath(member.filename.replace("\\", "/"))
            if name.is_absolute() or ".." in name.parts:
                raise ValueError(f"{archive}: a member leads outside: {member.filename}")
            if stat.S_ISLNK(member.external_attr >> 16):
                raise ValueError(f"{archive}: a member is a link: {member.filename}")
        needed, free = sum(member.file_size for member in members), shutil.disk_usage(folder).free
        if needed > free:
            raise OSError(f"{archive}: unpacked it is {needed:,} bytes; there are {free:,} free")
        zipped.extractall(folder)  # noqa: S202, members were checked


def _hub_files(name: str) -> Iterator[tuple[Path, str]]:
    import datasets

    path, _, config = name.partition(":")
    try:
        loaded = datasets.load_dataset(path, config or None)
    except Exception as error:  # the network, the Hub and the data set can each fail in its own way
        raise ValueError(f"hub:{name} cannot be loaded: {type(error).__name__}: {error}") from error
    for split in loaded.values():
        for file in split.cache_files:
            cached = Path(file["filename"])
            yield cached.parent, cached.name
