"""Puts onnxruntime's C++ headers and library into a folder with include/ and lib/, as its releases have them.

    python runtime/cpp/get_onnxruntime.py build/onnxruntime

The library is the one that the installed Python package `onnxruntime` holds, so that C++ and Python compute
with the same code. The wheel has no headers: they are Microsoft's own, of release 1.29, as the npm package
`com.github.asus4.onnxruntime` ships them for iOS (150 MB, fetched once); a library that is not older takes
them. A release of onnxruntime for your platform, where you can download one, does as well.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "com.github.asus4.onnxruntime@0.4.9"
HEADERS = "package/Plugins/iOS~/onnxruntime.xcframework/ios-arm64/onnxruntime.framework/Headers/"
SHA256 = {
    "onnxruntime_c_api.h": "acc0cf4b3f28d39339c76770d76164bb7a0637dc89f5fde764b4017b632f6743",
    "onnxruntime_cxx_api.h": "9c63ed5bf0427ddf1c10a99aca0beeec77318ce77d2ea6f7ae76d7d933660f67",
    "onnxruntime_cxx_inline.h": "c508dbb7d8203003a2584b8712118cb88e5b4ef1e1c7876a9974156fb7489301",
    "onnxruntime_ep_c_api.h": "e6c986c9e98583f8113b2c6bc3864814883b806d501cf24da4d239c45753e235",
    "onnxruntime_error_code.h": "5ce3b054e798eced8d14f5b86e98692fd33470463f96194ce0700a2d53dd8721",
    "onnxruntime_float16.h": "88b242845d25981633a0bbd1c148e273cf8bfb016ea3f57c4af41a06530f72b0",
}

INSTEAD = "name a release of onnxruntime, ONNXRUNTIME_ROOT=DIR"


def fetch_headers(folder: Path) -> None:
    """The headers, by npm; each must have its SHA-256."""
    if all((folder / name).is_file() for name in SHA256):
        return
    npm = shutil.which("npm")
    if npm is None:
        sys.exit(
            "there is no npm here to fetch the headers: name a release of onnxruntime, ONNXRUNTIME_ROOT=DIR"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        command = [npm, "pack", PACKAGE, "--silent", "--ignore-scripts"]
        subprocess.run(command, cwd=place, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - a fixed command
        with tarfile.open(next(Path(place).glob("*.tgz"))) as archive:
            for name, digest in SHA256.items():
                stream = archive.extractfile(HEADERS + name)
                data = stream.read() if stream else b""
                if hashlib.sha256(data).hexdigest() != digest:
                    sys.exit(f"{name} of {PACKAGE} is not the file that is expected: its SHA-256 differs")
                (folder / name).write_bytes(data)


def link_library(folder: Path) -> None:
    """The wheel's library, under the names that linkers and programs look for."""
    found = importlib.util.find_spec("onnxruntime")
    libraries = (
        sorted(Path(found.origin).parent.glob("capi/libonnxruntime.so.*")) if found and found.origin else []
    )
    if not libraries:
        sys.exit(
            "the installed onnxruntime has no library for C++: name a release of it, ONNXRUNTIME_ROOT=DIR"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(libraries[-1])


if __name__ == "__main__":
    root = Path(sys.argv[1])
    fetch_headers(root / "include")
    link_library(root / "lib")
