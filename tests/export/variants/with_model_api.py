"""python with_model_api.py MODEL IMAGES.npz LABELS.npz: labels of images by OpenVINO's Model API."""

import sys

import numpy as np
from model_api.adapters import OpenvinoAdapter, create_core
from model_api.models import Model

full = {"INFERENCE_PRECISION_HINT": "f32"}  # by default bf16, where the processor can
segmentation = Model.create_model(OpenvinoAdapter(create_core(), sys.argv[1], plugin_config=full))
images = np.load(sys.argv[2])
results = {name: segmentation(images[name]).resultImage for name in images.files}
names = [segmentation.get_label_name(index) for index in range(segmentation.out_channels)]
np.savez(sys.argv[3], kind=np.array(type(segmentation).__name__), names=np.array(names), **results)
