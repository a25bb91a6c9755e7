"""Names of the tensors inside every file: contract, so that any file can be probed.

Only int8 files that read the image's bytes as they are (`fold_normalization`) have no normalized image.
"""

from __future__ import annotations

__all__ = ["CONFIDENCE", "FULL_SIZE", "LABELS", "LOGITS", "LOGITS_LOW", "LOGITS_PADDED", "TRACED_INPUT"]

TRACED_INPUT = "normalized"  # the image, normalized and padded: what the network itself takes
LABELS = "labels"  # the class of each pixel
CONFIDENCE = "confidence"  # the winner's probability
LOGITS = "logits"  # at full size
LOGITS_PADDED = "logits_padded"  # the same before they are cut back to the image's size
LOGITS_LOW = "logits_low"  # with the sparse head: the logits before upsampling
FULL_SIZE = "fcn_edge/full_size"  # with the sparse head: [batch, classes, height, width] to upsample to
