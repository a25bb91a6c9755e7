"""What colcon installs: module, `segmenter` executable, launch file, parameters, index marker."""  # noqa: INP001 - a setup script is not in a package

from setuptools import setup

NAME = "fcn_edge_ros"

setup(
    name=NAME,
    version="0.1.0",
    packages=[NAME],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml", "README.md"]),
        (f"share/{NAME}/launch", ["launch/segmenter.launch.py"]),
        (f"share/{NAME}/config", ["config/segmenter.yaml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    maintainer="The fcn-edge authors",
    maintainer_email="fcn-edge@example.org",
    description="Semantic segmentation with fcn-edge models",
    license="Apache-2.0",
    entry_points={"console_scripts": [f"segmenter = {NAME}.segmenter:main"]},
)
