"""ONNX's protobuf, read and written without a protobuf library.

    fields.py       the names of the field numbers
    reading.py      the fields of a message, one after the other
    tensors.py      stored tensors
    views.py        nodes and their attributes
    value_info.py   inputs and outputs: name, type and shape
    summary.py      a whole file, and its graph
    writing.py      the same format, written

Why not protobuf's own library, or `onnx`:

- The runtime has no such dependency. It needs numpy and onnxruntime, and onnxruntime cannot look into a file
  without loading it; but a file must be checked before onnxruntime parses it.
- A library builds the whole message. This code skips weights by their length and copies only names, shapes,
  metadata and short lists of numbers.
- A library bounds neither time nor memory: a small file can declare millions of empty messages. Here fields,
  depth, names and lists are bounded, so that a hostile file costs no more than an error message.
"""
