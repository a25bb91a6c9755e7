"""Names of the tensors inside every file: contract, so that any file can be probed.

Only int8 files that read the image's bytes as they are (`raw_pixels`) have no normalized image.
"""

from __future__ import annotations

__all__ = ["FULL_SIZE", "PADDED_SCORES", "SCORES", "SCORES_LOW", "TRACED_INPUT"]

TRACED_INPUT = "normalized"  # the image, normalized and padded: what the network itself takes
SCORES = "logits"  # full-size scores
PADDED_SCORES = "logits_padded"  # the same before they are cut back to the image's size
SCORES_LOW = "logits_low"  # with the sparse head: the scores before upsampling
FULL_SIZE = "fcn_edge/full_size"  # with the sparse head: [batch, classes, height, width] to upsample to
