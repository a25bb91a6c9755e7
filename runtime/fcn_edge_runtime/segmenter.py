"""Segmenter: an image in, a Segmentation out."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from fcn_edge_runtime.errors import InputError, ModelError, UsageError
from fcn_edge_runtime.imaging.arrays import MAX_PIXELS, as_batch
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.contract import check_results
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.segmentation import (
    Segmentation,
    check_threshold,
    outputs_for_threshold,
    require_every_label,
)
from fcn_edge_runtime.session.session import AUTO, Session, SessionOptions
from fcn_edge_runtime.trusted_session import open_trusted

if TYPE_CHECKING:
    from fcn_edge_runtime.session.profile import Profile

__all__ = ["Segmenter"]

# Profiles and pathlib are imported where they are needed, for a fast start: see docs/performance.md.


class Segmenter:
    """A model, opened on a device and ready for images. Safe to call from many threads at once.

    The self-test runs on opening where the provider is not one that the model was verified on, where
    provider options are given, and where frames have a fixed size: a device whose labels differ from
    PyTorch's is refused before it sees a frame.

    Args:
        path: a model that `fcn-edge export` wrote.
        device: "auto" (the first of CUDA, OpenVINO and the CPU that starts and passes the self-test), "cpu",
            "cuda", or any other provider of the installed onnxruntime. Another one is never used instead.
        threads: threads on the CPU; None means all cores this process may use.
        outputs: which of the model's outputs to compute, `labels` always; None means all of them. A function
            is given the names that the model offers and returns those to compute.
        max_pixels: refuse batches with more pixels, N * H * W, than this.
        options: rarely needed options of the session; None is the defaults, and the head "auto" where labels
            alone are computed.
        profile: what `fcn-edge tune` wrote for this model, or the path of it: device, threads and options.
            Made on another machine or with another onnxruntime, it is ignored with a warning. The self-test
            runs when the model is opened with it.
        threshold: labels need at least this probability, see `Segmentation.thresholded`. The file must offer
            `confidence` or `probabilities`; one of them is computed, also where `outputs` does not name it.
        allow_operators: operators to accept besides those that an export writes, such as "MaxUnpool" or
            "com.microsoft::FusedConv". What they make is not limited: only for files whose origin you know.
        isolated_first: open the file in a process of its own first, with limits on memory and time, and run
            its self-test there: for files whose origin you do not know. It takes about half a second, once
            for each file in a process.
        trusted_keys: PEM files of public keys, one of which must have signed the file: its signature lies
            beside it, see `fcn-edge sign`. None asks for what the environment does
            (`FCN_EDGE_TRUSTED_KEYS`), by default no signature.

    Attributes:
        card: the model's description, from the file.
        digest: the SHA-256 of the file.
        session: provider, device, and why it was taken.
        outputs: the outputs that are computed; read-only, chosen when the model is opened.
        max_pixels: the limit on pixels.
        profile: the profile that is in use; None without one, or if it was ignored.
        threshold: the threshold on the labels' probabilities; None without one.

    Raises:
        ModelError: the file is missing, not ours, damaged, or onnxruntime cannot load it.
        ProviderError: onnxruntime or the device is not available, or does not start.
        VerificationError: the self-test failed on this device, or with this profile; or the file is not
            signed by a trusted key.
        ProfileError: the profile cannot be read, or is for another model.
        UsageError: the device or an output is unknown, an option is out of range, options are given next to
            a profile that has them, or a threshold is given for a file that computes labels alone.
    """

    card: Card
    digest: str
    profile: Profile | None

    def __init__(
        self,
        path: str | os.PathLike[str],
        device: str = "auto",
        threads: int | None = None,
        *,
        outputs: Sequence[str] | Callable[[tuple[str, ...]], Sequence[str]] | None = None,
        max_pixels: int = MAX_PIXELS,
        options: SessionOptions | None = None,
        profile: Profile | str | os.PathLike[str] | None = None,
        threshold: float | None = None,
        allow_operators: Sequence[str] = (),
        isolated_first: bool = False,
        trusted_keys: Sequence[str | os.PathLike[str]] | None = None,
    ) -> None:
        _check_options(max_pixels, threshold, allow_operators, trusted_keys)
        if profile is not None:
            # Imported only with a profile: reading and writing files would slow every start.
            from fcn_edge_runtime.session.profile import as_profile

            profile = as_profile(profile)
        self._recipe: dict[str, Any] = {
            "device": device,
            "threads": threads,
            "outputs": outputs,
            "max_pixels": max_pixels,
            "options": options,
            "profile": profile,
            "threshold": threshold,
            "allow_operators": tuple(allow_operators),
            "isolated_first": isolated_first,
            "trusted_keys": trusted_keys and tuple(os.path.abspath(key) for key in trusted_keys),  # noqa: PTH100 - as below
        }
        self._path = os.path.abspath(os.fspath(path))  # noqa: PTH100 - keeps symbolic links as given
        self._name = os.path.basename(self._path)  # noqa: PTH119 - see above
        self.max_pixels, self.threshold = max_pixels, threshold
        self._process = os.getpid()
        with ModelFile.open(path, allow_operators, trusted_keys) as model:
            if isolated_first:
                from fcn_edge_runtime.isolation import open_in_child

                open_in_child(model, allow_operators)
            self.card, self.digest = model.card, model.digest
            if threshold is not None:
                require_every_label(self.card)
            self.profile = None
            offered = tuple(output.name for output in model.summary.outputs)
            if profile is not None and profile.usable(self.digest, device, threads, options):
                self.profile = profile
            if self.profile is None:
                if options is None:
                    alone = threshold is None and _wanted(outputs, offered) == ("labels",)
                    options = SessionOptions(head=AUTO if alone else SessionOptions.head)
                session = open_trusted(model, device, threads=threads, options=options)
            else:
                from fcn_edge_runtime.selftest import require_trusted

                session = self.profile.options.open(model)
                require_trusted(session, model)
        self._outputs = _wanted(outputs, session.outputs)
        if callable(outputs):
            # The names and not the function: they travel to other processes, and a copy computes the same.
            self._recipe["outputs"] = self._outputs
        self._extra = () if threshold is None else _extra(self._outputs, offered, session)
        if self.card.precision == "fp16" and session.device == "cpu":
            warnings.warn(
                f"{self._name} is a model for GPUs: on a CPU its float parent is faster", stacklevel=2
            )
        self._session: Session | None = session

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs that are computed."""
        return self._outputs

    @property
    def session(self) -> Session:
        """The open session: its provider, its device, and why it was taken."""
        session = self._session
        if session is None:
            raise UsageError(f"the segmenter of {self._name} was closed: open a new one")
        if os.getpid() != self._process:
            # onnxruntime's threads stay behind in the parent: a call would wait for them forever.
            raise UsageError(
                "this segmenter was opened before the process forked: open one in each process, "
                "or start processes by 'spawn'"
            )
        return session

    def __call__(self, image: np.ndarray) -> Segmentation:
        """Segment one image or a batch. The array is not changed. The segmenter works on after an error.

        Args:
            image: (H, W, C) or (N, H, W, C) of the card's dtype, RGB where C is 3; (H, W) where C is 1.

        Raises:
            InputError: the array cannot be segmented as it is; the message says how to fix it.
            ModelError: onnxruntime failed, or its results break the contract.
            ProviderError: the device failed.
        """
        session = self.session
        batch, single = as_batch(image, self.card, self.max_pixels)
        if session.options.size is not None and batch.shape[:3] != (1, *session.options.size):
            raise _not_the_size(batch, session.options.size)
        start = time.perf_counter()
        values = session.run(batch, (*self._outputs, *self._extra))
        milliseconds = (time.perf_counter() - start) * 1000
        check_results(values, batch.shape[:3], self.card)
        arrays = {name: value[0] for name, value in values.items()} if single else values
        result = Segmentation(card=self.card, provider=session.provider, milliseconds=milliseconds, **arrays)
        if self.threshold is None:
            return result
        result = result.thresholded(self.threshold)
        if "confidence" in self._extra:
            return replace(result, confidence=None)
        return replace(result, probabilities=None) if self._extra else result

    def close(self) -> None:
        """Free the session. Running calls finish; later ones raise UsageError."""
        self._session = None

    def __enter__(self) -> Segmenter:  # noqa: PYI034 - typing.Self came with Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._session is None else self._session.device
        return f"<Segmenter {self._name} {state}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled, a segmenter is its path and options: another process opens the same file again."""
        return _reopened, (self._path, self.digest, self._recipe)


def _check_options(
    max_pixels: object, threshold: float | None, allow_operators: object, trusted_keys: object
) -> None:
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, int) or max_pixels < 1:
        raise UsageError(f"max_pixels is {max_pixels!r}, expected a whole number above 0")
    if isinstance(allow_operators, str):
        raise UsageError(f"allow_operators is {allow_operators!r}, expected a list of names")
    if isinstance(trusted_keys, (str, os.PathLike)) or (trusted_keys is not None and not trusted_keys):
        raise UsageError(f"trusted_keys is {trusted_keys!r}, expected a list of at least one key")
    if threshold is not None:
        check_threshold(threshold)


def _not_the_size(batch: np.ndarray, size: tuple[int, int]) -> InputError:
    count, height, width = batch.shape[:3]
    got = f"is {height} high and {width} wide" if count == 1 else f"is a batch of {count}"
    return InputError(
        f"the image {got}, expected one of {size[0]}x{size[1]}, the only size that this session takes: "
        "resize it, or open the model without a fixed size (a profile tuned without --fixed-size)"
    )


def _reopened(path: str, digest: str, recipe: dict[str, Any]) -> Segmenter:
    segmenter = Segmenter(path, **recipe)
    if segmenter.digest != digest:
        segmenter.close()
        raise ModelError(f"{path} is no longer the model that was opened (its digest differs): open it again")
    return segmenter


def _wanted(
    outputs: Sequence[str] | Callable[[tuple[str, ...]], Sequence[str]] | None, offered: tuple[str, ...]
) -> tuple[str, ...]:
    if outputs is None:
        return offered
    if callable(outputs):
        outputs = tuple(outputs(offered))
    unknown = [name for name in outputs if name not in offered]
    if isinstance(outputs, str) or unknown:
        raise UsageError(
            f"the model has no outputs {', '.join(unknown) or outputs!r}, it has {', '.join(offered)}: "
            "export it again with --outputs"
        )
    return ("labels", *(name for name in outputs if name != "labels"))


def _extra(outputs: Sequence[str], offered: tuple[str, ...], session: Session) -> tuple[str, ...]:
    """What a threshold needs besides the outputs that are computed anyway, of those that the file offers."""
    if "confidence" in outputs or "probabilities" in outputs:
        return ()
    needed = outputs_for_threshold(offered)
    if not set(needed) <= set(session.outputs):
        raise UsageError(
            "a threshold needs probabilities, and with the head 'numpy' there are labels alone: "
            "open the model without this option or profile"
        )
    return needed
