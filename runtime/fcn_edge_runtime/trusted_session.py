"""A session on a device that the file was verified on, or whose self-test passed here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fcn_edge_runtime.errors import VerificationError
from fcn_edge_runtime.session.session import AUTO, CPU, Session, SessionOptions, open_session

if TYPE_CHECKING:
    from fcn_edge_runtime.model.file import ModelFile

__all__ = ["open_trusted"]


def open_trusted(
    model: ModelFile,
    device: str = "auto",
    *,
    threads: int | None = None,
    options: SessionOptions | None = None,
    cut: bytes | None = None,
) -> Session:
    """Make a session as `open_session` does, and run the self-test where the export did not verify the file.

    With "auto" a device that fails the self-test is passed over, and the session's `why` says so.

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
    passed_over: dict[str, str] = {}
    while True:
        session = open_session(
            model, device, threads=threads, options=options, cut=cut, passed_over=passed_over
        )
        # Provider options may change results: fuse_conv_bias of onnxruntime-gpu 1.31 does.
        unusual = session.options.provider_options or session.options.size
        if not unusual and session.provider in model.card.verification.providers:
            return session
        from fcn_edge_runtime.selftest import require_trusted

        whole = session
        if cut is not None:
            whole = open_session(model, session.device, threads=threads, options=options)
        try:
            require_trusted(whole, model)
        except VerificationError as error:
            if session.provider == CPU or device.strip().lower() != AUTO:
                raise
            passed_over[session.provider] = str(error)
        else:
            return session
