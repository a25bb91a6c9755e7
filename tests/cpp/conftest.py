from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ONNXRUNTIME = ROOT / "build/onnxruntime"
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Compiles a program of a source file with warnings as errors; returns its path."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed")
    if not (ONNXRUNTIME / "lib/libonnxruntime.so").exists():
        pytest.skip("onnxruntime's headers are not here: make cpp-example")

    def compile_it(source, *options):
        program = tmp_path_factory.mktemp("cpp") / source.stem
        include = ("-I", ROOT / "runtime/cpp", "-isystem", ONNXRUNTIME / "include")
        folder = ONNXRUNTIME / "lib"
        library = ("-L", folder, "-lonnxruntime", f"-Wl,-rpath,{folder}", "-pthread")
        command = [compiler, "-std=c++17", *WARNINGS, *options, *include, source, "-o", program, *library]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return program

    return compile_it


@pytest.fixture(scope="session")
def driver(compiled):
    """Runs the driver, under the address and the undefined-behavior sanitizer; returns what it prints."""
    program = compiled(HERE / "driver.cpp", *SANITIZERS)

    def run(*arguments):
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, timeout=300)
        assert done.stderr == b"", done.stderr.decode(errors="replace")
        assert done.returncode in {0, 1}
        return done.stdout.decode().split("\n")[:-1]

    return run


@pytest.fixture(scope="session")
def example(compiled):
    """The program of `make cpp-example`."""
    return compiled(ROOT / "runtime/cpp/segment.cpp", "-O2")


@pytest.fixture
def segment(driver, tmp_path):
    """Labels of an array (H, W, C), and the line that the driver printed."""

    def run(model, image):
        pixels, labels = tmp_path / "pixels", tmp_path / "labels"
        pixels.write_bytes(image.tobytes())
        labels.write_bytes(b"")
        height, width = image.shape[:2]
        [line] = driver("run", model, image.dtype, height, width, pixels, labels)
        raw = labels.read_bytes()
        if not raw:
            return None, line
        dtype = np.uint8 if len(raw) == height * width else np.uint16
        return np.frombuffer(raw, dtype).reshape(height, width), line

    return run
