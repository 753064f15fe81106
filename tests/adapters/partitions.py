"""Every region that botocore knows, with its partition and the domain of its endpoints."""
import json
import sys

import botocore.session

partitions = botocore.session.get_session().get_component("data_loader").load_data("partitions")["partitions"]
json.load(sys.stdin)
regions = [
    [partition["id"], region, partition["outputs"]["dnsSuffix"]]
    for partition in partitions
    for region in partition["regions"]
    if not region.endswith("-global")
]
json.dump(regions, sys.stdout)
