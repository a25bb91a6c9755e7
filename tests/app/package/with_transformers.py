"""python with_transformers.py FOLDER IMAGE.npy VALUES.npy: the folder read by Hugging Face's own packages."""

import json
import sys

import numpy as np
from huggingface_hub import ModelCard
from transformers import AutoConfig, AutoImageProcessor

config = AutoConfig.from_pretrained(sys.argv[1])
processor = AutoImageProcessor.from_pretrained(sys.argv[1])
values = processor(np.load(sys.argv[2]), return_tensors="np")["pixel_values"]
np.save(sys.argv[3], values)
card = ModelCard.load(f"{sys.argv[1]}/README.md")
print(json.dumps({"id2label": config.id2label, "labels": config.num_labels, "card": card.data.to_dict()}))
