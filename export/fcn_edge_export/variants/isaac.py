"""Isaac ROS: NCHW floats of one size in, int32 class ids [1, height, width, 1] out.

The encoder's mean of 0 and deviation of 1 leave pixels / 255, and the file normalizes itself. Names as of
isaac_ros_image_segmentation@d65a7c3 and isaac_ros_dnn_inference@0625147. It was not run on a Jetson.
"""

from __future__ import annotations

from fcn_edge_export.variants.target import Facts, Target

__all__ = ["ISAAC"]


def _duties(facts: Facts) -> tuple[str, ...]:
    height, width = facts.size or (0, 0)
    colors = ["0x{:02x}{:02x}{:02x}".format(*entry.color) for entry in facts.card.classes]
    encoder = f"network_image_width {width}, network_image_height {height}"
    decoder = f"network_output_type argmax, mask_width {width}, mask_height {height}"
    return (
        f"DnnImageEncoderNode: {encoder}, image_mean [0, 0, 0], image_stddev [1, 1, 1]",
        "TensorRTNode: input_binding_names ['input'], output_binding_names ['output']",
        f"UNetDecoderNode: {decoder}, color_palette [{', '.join(colors)}]",
        "compare labels on the robot: TensorRT was not run here, and its FP16 changes some",
    )


ISAAC = Target(
    name="isaac",
    about="Isaac ROS on TensorRT",
    takes="unit",
    gives="class map",
    duties=_duties,
    sized=True,
    most_classes=255,  # of a mono8 mask
    channels=(3,),
)
