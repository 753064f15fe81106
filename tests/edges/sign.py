"""Signs a request as botocore does, at the time that the request itself names."""
import json
import sys

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

given = json.load(sys.stdin)
request = AWSRequest(method=given["method"], url=given["url"], data=given["body"], headers=given["headers"])
request.context["timestamp"] = given["headers"]["x-amz-date"]
signer = SigV4Auth(Credentials(*given["credentials"]), given["service"], given["region"])
to_sign = signer.string_to_sign(request, signer.canonical_request(request))
names = signer.signed_headers(signer.headers_to_sign(request))
signature = signer.signature(to_sign, request)
scope = f"{given['credentials'][0]}/{signer.credential_scope(request)}"
header = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"
json.dump({"authorization": header}, sys.stdout)
