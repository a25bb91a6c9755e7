"""A model behind HTTP: pictures, and the Open Inference Protocol. Needs the extra `serve`."""
