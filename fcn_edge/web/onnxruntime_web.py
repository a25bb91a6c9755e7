"""onnxruntime for browsers: one version of the npm package, each of whose files has a known SHA-256.

npm fetches it once into the cache; from then on no network is needed. Where there is no npm, the unpacked
package is named.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from fcn_edge._cache import cache_folder
from fcn_edge_runtime._files import require_writable, write_whole
from fcn_edge_runtime.errors import ArtifactError

__all__ = ["VERSION", "onnxruntime_web"]

VERSION = "1.30.0"
_PACKAGE = f"onnxruntime-web@{VERSION}"
_SHA256 = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    # WebGPU; a browser loads these instead of the others where it has a GPU.
    "ort.webgpu.min.mjs": "3dffff71811bc13a3a3d9591c57ca5ee5735b8f5f3eaf789510b02bb040ae3a0",
    "ort-wasm-simd-threaded.asyncify.mjs": "3d1c85995364bb643302fc6fd877a0c3ba5ae72401815e0f24828a53d9191e28",
    "ort-wasm-simd-threaded.asyncify.wasm": (
        "39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da"
    ),
}
_SECONDS = 600


def onnxruntime_web(package: Path | None = None) -> dict[str, bytes]:
    """The files that a page needs, by name: from a folder, from the cache, or fetched by npm.

    Args:
        package: the unpacked npm package, or its folder `dist`; None takes the cache, and fills it first if
            it must.

    Raises:
        ArtifactError: a file is missing or is another one, npm is missing or fails, or the cache cannot be
            written.
    """
    if package is not None:
        dist = package / "dist"
        return _files(dist if dist.is_dir() else package)
    folder = cache_folder() / f"onnxruntime-web-{VERSION}"
    if all((folder / name).is_file() for name in _SHA256):
        return _files(folder)
    found = _fetched()
    require_writable(folder)
    for name, data in found.items():
        write_whole(folder / name, data)
    return found


def _files(folder: Path) -> dict[str, bytes]:
    found = {}
    for name in _SHA256:
        try:
            found[name] = _checked(name, (folder / name).read_bytes(), folder)
        except OSError as error:
            raise ArtifactError(
                f"{folder / name} cannot be read ({error.strerror or error}): expected the unpacked npm "
                f"package {_PACKAGE}, from `npm pack {_PACKAGE}`"
            ) from None
    return found


def _checked(name: str, data: bytes, where: object) -> bytes:
    digest = hashlib.sha256(data).hexdigest()
    if digest != _SHA256[name]:
        raise ArtifactError(
            f"{name} in {where} has SHA-256 {digest}, expected {_SHA256[name]}, that of {_PACKAGE}: remove "
            "it, or name a folder with that version"
        )
    return data


def _fetched() -> dict[str, bytes]:
    """The files of the package that npm fetches."""
    npm = shutil.which("npm")
    if npm is None:
        raise ArtifactError(
            f"there is no npm here to fetch {_PACKAGE}: install Node.js, or unpack what "
            f"`npm pack {_PACKAGE}` fetches elsewhere and name its folder with --onnxruntime-web"
        )
    with tempfile.TemporaryDirectory(prefix="fcn-edge-") as folder:
        command = [npm, "pack", _PACKAGE, "--silent", "--ignore-scripts"]
        try:
            done = subprocess.run(  # noqa: S603 - a fixed command
                command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _refusal(str(error)) from None
        packed = sorted(Path(folder).glob("*.tgz"))
        if done.returncode or not packed:
            raise _refusal(done.stderr or f"exit code {done.returncode}")
        return _unpacked(packed[0])


def _unpacked(packed: Path) -> dict[str, bytes]:
    """Only the files that are wanted are read, and nothing is extracted by its path."""
    try:
        with tarfile.open(packed) as archive:
            streams = {name: archive.extractfile(f"package/dist/{name}") for name in _SHA256}
            return {
                name: _checked(name, stream.read() if stream else b"", packed.name)
                for name, stream in streams.items()
            }
    except (KeyError, tarfile.TarError, OSError, EOFError) as error:
        raise _refusal(f"its archive is damaged: {error}") from None


def _refusal(reason: str) -> ArtifactError:
    shown = " ".join(reason.split())[:300]
    return ArtifactError(
        f"npm could not fetch {_PACKAGE} ({shown}): try again with a network, or name the unpacked package "
        "with --onnxruntime-web"
    )
