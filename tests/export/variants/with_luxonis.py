"""python with_luxonis.py ARCHIVE: what Luxonis' own reader of archives finds, as JSON."""

import json
import sys
import tarfile

from luxonis_ml.nn_archive import Config, is_nn_archive

with tarfile.open(sys.argv[1]) as archive:
    config = Config.model_validate_json(archive.extractfile("config.json").read())
print(json.dumps({"archive": is_nn_archive(sys.argv[1]), **config.model_dump(mode="json")}))
