"""A session on a device that the file was verified on, or whose self-test passed here."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from fcn_edge_runtime.errors import ProviderError, VerificationError
from fcn_edge_runtime.session.options import AUTO, CPU, SessionOptions, cautious, shortcuts
from fcn_edge_runtime.session.session import Session, open_session

if TYPE_CHECKING:
    from fcn_edge_runtime.model.file import ModelFile
    from fcn_edge_runtime.selftest import SelfTestReport

__all__ = ["open_trusted", "self_tests", "selftest"]


def open_trusted(
    model: ModelFile,
    device: str = "auto",
    *,
    threads: int | None = None,
    options: SessionOptions | None = None,
    cut: bytes | None = None,
) -> Session:
    """Make a session as `open_session` does, and run the self-test where the export did not verify the file.

    With "auto" a device that fails the self-test is passed over, and the session's `why` says so. An option
    that was left open, such as bfloat16, is not used where the self-test fails with it.

    Args:
        model: an opened model file.
        device: see `open_session`, as the following.
        threads: of one operator on the CPU.
        options: rarely needed options.
        cut: bytes of the same model with other outputs; the self-test runs on the whole model.

    Raises:
        VerificationError: the self-test failed on this device.
        UsageError, ProviderError, ModelError: see `open_session` and `selftest.require_trusted`.
    """

    def test(session: Session) -> None:
        # Provider options may change results: fuse_conv_bias of onnxruntime-gpu 1.31 does.
        its = session.options
        unusual = its.provider_options or its.size or shortcuts(its)
        if not unusual and session.provider in model.card.verification.providers:
            return
        from fcn_edge_runtime.selftest import require_trusted

        whole = session
        if cut is not None:
            whole = open_session(model, session.device, threads=session.threads, options=its)
        require_trusted(whole, model)

    return _first_passing(model, device, test, threads=threads, options=options, cut=cut)


def self_tests(model: ModelFile, device: str = "auto") -> tuple[tuple[Session, SelfTestReport], ...]:
    """Run the self-test on the session that `open_trusted` makes, and on those that it passes over before.

    Returns:
        The sessions in this order, each with its report. All but the last failed; the last passed, or there
        is no other to take.

    Raises:
        UsageError, ProviderError, ModelError: see `open_session` and `selftest.run_selftest`.
    """
    from fcn_edge_runtime.selftest import require_passed, run_selftest

    done: list[tuple[Session, SelfTestReport]] = []

    def test(session: Session) -> None:
        report = run_selftest(session, model.card, model.golden)
        done.append((session, report))
        require_passed(report)

    with contextlib.suppress(VerificationError):
        passing = _first_passing(model, device, test)
        done[-1] = (passing, done[-1][1])
    return tuple(done)


def selftest(path: str | os.PathLike[str], device: str = "auto") -> SelfTestReport:
    """Run a file's self-test on a device of this machine.

    Args:
        path: a model that `fcn-edge export` wrote.
        device: "auto" (the one that `Segmenter` takes), "cpu", "cuda", or any other provider of the installed
            onnxruntime.

    Returns:
        The report of a self-test that passed. Its `blind` is True where the test sees fewer than two labels.

    Raises:
        VerificationError: a decided pixel differs from the reference.
        ModelError: the file is missing, damaged, or not an fcn-edge model.
        ProviderError: the device is not available or does not start.
    """
    from fcn_edge_runtime.model.file import ModelFile
    from fcn_edge_runtime.selftest import require_passed

    with ModelFile.open(path) as model:
        report = self_tests(model, device)[-1][1]
    require_passed(report)
    return report


def _first_passing(
    model: ModelFile,
    device: str,
    test: Callable[[Session], None],
    *,
    threads: int | None = None,
    options: SessionOptions | None = None,
    cut: bytes | None = None,
) -> Session:
    """Make a session as `open_session` does that passes a test, which raises where one does not.

    One that fails is made again without the options that were left open. Then, with "auto", the next device
    is taken.

    Raises:
        VerificationError, ProviderError: the test failed on the device, or on the last one.
        UsageError, ModelError: see `open_session`.
    """
    given = options or SessionOptions()
    passed_over: dict[str, str] = {}
    without = ""  # what the device failed with, in words
    while True:
        session = open_session(
            model,
            device,
            threads=threads,
            options=cautious(given) if without else given,
            cut=cut,
            passed_over=passed_over,
        )
        try:
            test(session)
        except (VerificationError, ProviderError) as error:
            used = shortcuts(session.options)
            if not without and used != shortcuts(cautious(given)):
                without = used
            elif session.provider != CPU and device.strip().lower() == AUTO:
                passed_over[session.provider], without = str(error), ""
            else:
                raise
        else:
            return replace(session, why=f"{session.why}; it fails with {without}") if without else session
