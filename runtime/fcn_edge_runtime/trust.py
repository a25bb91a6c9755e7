"""Whether a session may be trusted with a model: the file's self-test, in that session, or no session.

A session for frames of one size cannot take the self-test's images. There the test is passed by a session for
any size that is the same in all else, and the labels of both must agree on a computed image of the one size.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fcn_edge_runtime.errors import UsageError, VerificationError
from fcn_edge_runtime.modelfile import ModelFile
from fcn_edge_runtime.pattern import pattern
from fcn_edge_runtime.selftest import require_passed, run_selftest
from fcn_edge_runtime.session import Session, open_session

__all__ = ["MOST_FLIPS", "require_trusted"]

SEED = 1
# Another device, bfloat16 and kernels for known shapes round otherwise: as many labels may differ as in the
# verdict of an export.
MOST_FLIPS = 0.005


def require_trusted(session: Session, model: ModelFile) -> None:
    """Do nothing if the session decides as the model's self-test expects.

    Raises:
        VerificationError: it does not.
        UsageError: the session's one size is smaller than the network takes.
        ModelError, ProviderError: the session fails, or the one for any size.
    """
    size = session.extra.size
    if size is None:
        require_passed(run_selftest(session, model.card, model.golden))
        return
    smallest = model.card.geometry.smallest_size
    if min(size) < smallest:
        raise UsageError(f"size is {size}, expected at least {smallest} each way for this network")
    extra = replace(session.extra, size=None, profile_prefix="")
    free = open_session(model, session.device, threads=session.threads, extra=extra)
    require_passed(run_selftest(free, model.card, model.golden))
    image = pattern(1, *size, model.card.input.channels, SEED, model.card.input)
    labels = [each.run(image, ["labels"])["labels"] for each in (session, free)]
    differing = float(np.mean(labels[0] != labels[1]))
    if differing > MOST_FLIPS:
        raise VerificationError(
            f"on {session.provider}, {100 * differing:.2g} % of the labels change when it knows that frames "
            f"are {size[0]}x{size[1]}: leave the size out"
        )
