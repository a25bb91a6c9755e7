"""QGIS opens a map, checks it, and draws it: run by QGIS's own Python, which has none of our packages.

python3 qgis_look.py MAP.tif POLYGONS.gpkg OUT.png
"""

from __future__ import annotations

import json
import os
import sys

os.environ["QT_QPA_PLATFORM"] = "offscreen"
from qgis.core import (
    QgsApplication,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize

labels, polygons, out = sys.argv[1:4]
application = QgsApplication([], False)
application.initQgis()
raster = QgsRasterLayer(labels, "labels")
vector = QgsVectorLayer(polygons, "polygons")
settings = QgsMapSettings()
settings.setLayers([raster])
settings.setExtent(raster.extent())
settings.setDestinationCrs(raster.crs())
settings.setOutputSize(QSize(400, 400))
job = QgsMapRendererParallelJob(settings)
job.start()
job.waitForFinished()
job.renderedImage().save(out)
classes = raster.renderer().classes() if raster.renderer().type() == "paletted" else []
report = {
    "valid": [raster.isValid(), vector.isValid()],
    "crs": [raster.crs().authid(), vector.crs().authid()],
    "renderer": raster.renderer().type(),
    "classes": {entry.label: entry.color.getRgb()[:3] for entry in classes},
    "nodata": raster.dataProvider().sourceNoDataValue(1),
    "fields": [field.name() for field in vector.fields()],
    "polygons": vector.featureCount(),
}
print(json.dumps(report), flush=True)
os._exit(0)  # QGIS may crash in its own teardown
