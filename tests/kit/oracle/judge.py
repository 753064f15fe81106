"""Compares calls, as they were on the wire, with botocore's models of the services.

Standard input: a JSON list of exchanges, each a request with its answer. Standard output: for each of them the
operation and everything in which request or answer differ from the model. Requests are parsed by moto's parsers,
which know every protocol, and written again by botocore: what botocore would not have sent is a difference.
"""
import base64
import functools
import hashlib
import json
import re
import sys
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree

import botocore.session
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest, HeadersDict
from botocore.credentials import Credentials
from botocore.exceptions import ParamValidationError
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator
from moto.core.model import ServiceModel
from moto.core.parse import PROTOCOL_PARSERS

# The folder of botocore's data, where a service signs with another name.
FOLDERS = {"elasticloadbalancing": "elbv2"}
# "Common Errors" of the services' API references: errors that no operation has in its model.
COMMON_ERRORS = {
    "json": {
        "AccessDeniedException", "ExpiredTokenException", "IncompleteSignatureException", "InternalFailure",
        "InvalidSignatureException", "MissingAuthenticationTokenException", "OptInRequired", "RequestExpired",
        "ServiceUnavailable", "ThrottlingException", "UnknownOperationException", "UnrecognizedClientException",
        "ValidationException",
    },
    "query": {
        "AccessDenied", "ExpiredToken", "IncompleteSignature", "InternalFailure", "InvalidAction",
        "InvalidClientTokenId", "MissingAuthenticationToken", "OptInRequired", "RequestExpired", "ServiceUnavailable",
        "SignatureDoesNotMatch", "Throttling", "ThrottlingException", "ValidationError",
    },
    # "Error responses" of the API reference of S3.
    "rest-xml": {
        "AccessDenied", "AuthorizationHeaderMalformed", "ConditionalRequestConflict", "ExpiredToken", "InternalError",
        "InvalidAccessKeyId", "InvalidToken", "NoSuchBucket", "NoSuchKey", "PermanentRedirect", "PreconditionFailed",
        "RequestTimeTooSkewed", "SignatureDoesNotMatch", "SlowDown", "XAmzContentSHA256Mismatch",
    },
}
# Java writes every character past U+FFFF as a range of pairs, which Python's expressions do not know.
PAIRS = r"\uD800\uDC00-\uDBFF\uDFFF"

loader = botocore.session.get_session().get_component("data_loader")


@functools.cache
def described(name):
    return loader.load_service_model(FOLDERS.get(name, name), "service-2")


@functools.cache
def model_of(name):
    return ServiceModel(described(name), FOLDERS.get(name, name))


def constraints(shape, value, path):
    """What botocore leaves to the service: greatest lengths, patterns, enums."""
    traits = shape.metadata
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            if name in value:
                yield from constraints(member, value[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for number, item in enumerate(value):
            yield from constraints(shape.member, item, f"{path}[{number}]")
    if shape.type_name in ("string", "list") and len(value) > traits.get("max", len(value)):
        yield f"{path} is longer than {traits['max']}"
    if shape.type_name in ("integer", "long") and value > traits.get("max", value):
        yield f"{path} is more than {traits['max']}"
    if shape.type_name == "string":
        pattern = traits.get("pattern", "(?s).*").replace(PAIRS, r"\U00010000-\U0010FFFF")
        if not re.fullmatch(pattern, value):
            yield f"{path} does not match {traits['pattern']}"
        if shape.enum and value not in shape.enum:
            yield f"{path} is {value!r}, not one of {shape.enum}"


def text_of(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


class Call:
    """One request, and the operation that it is a request of."""

    def __init__(self, exchange):
        self.method, self.url = exchange["method"], exchange["url"]
        self.headers = HeadersDict(exchange["headers"])
        self.body = base64.b64decode(exchange["body"])
        self.key = exchange["credentials"]
        fields = re.findall(r"(Credential|SignedHeaders|Signature)=([^, ]+)", self.headers.get("authorization", ""))
        self.authorization = dict(fields)
        self.scope = self.authorization["Credential"].split("/")
        self.model = model_of(self.scope[3])
        self.protocol = self.model.protocol
        self.path = re.sub("^[a-z]+://[^/]+", "", self.url)
        if self.protocol == "rest-xml":
            self.rest()
            return
        self.url_params = {}
        self.form = parse_qsl(self.body.decode(), keep_blank_values=True) if self.protocol == "query" else []
        name = dict(self.form)["Action"] if self.protocol == "query" else self.headers["x-amz-target"].split(".")[-1]
        self.operation = self.model.operation_model(name)

    def rest(self):
        """The operation of a request to S3, by its method and its path."""
        split = urlsplit(self.url)
        self.path, self.form = split.path, parse_qsl(split.query, keep_blank_values=True)
        bucket, _, key = self.path[1:].partition("/")
        self.url_params = {"Bucket": unquote(bucket), "Key": unquote(key)}
        lists = "list-type" in dict(self.form)
        objects = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
        self.operation = self.model.operation_model("ListObjectsV2" if lists else objects[self.method])

    def differences(self):
        if self.model.signing_name != self.scope[3]:
            yield f"signed for {self.scope[3]}, not for {self.model.signing_name}"
        yield from self.signature()
        values = {
            "values": dict(self.form), "body": self.body, "headers": self.headers, "method": self.method,
            "url_params": self.url_params,
        }
        shape = self.operation.input_shape
        parsed = PROTOCOL_PARSERS[self.protocol](self.operation).parse(values) if shape else {}
        try:
            wanted = create_serializer(self.protocol).serialize_to_request(parsed, self.operation)
        except ParamValidationError as error:
            yield str(error)
            return
        if shape:
            yield from constraints(shape, parsed, "request")
        path, _, query = wanted["url_path"].partition("?")
        if (self.method, self.path) != (wanted["method"], path):
            yield f"{self.method} {self.path}, not {wanted['method']} {path}"
        for name, value in wanted["headers"].items():
            # A charset makes no difference.
            if self.headers.get(name, "").split(";")[0] != value.split(";")[0]:
                yield f"{name} is {self.headers.get(name)}, not {value}"
        if self.protocol == "rest-xml":
            query = dict(parse_qsl(query, keep_blank_values=True)) | wanted["query_string"]
            if dict(self.form) != query:
                yield f"the query is {self.form}, which botocore would have sent as {query}"
            sent, body = self.body, wanted["body"]
        elif self.protocol == "query":
            sent, body = sorted(self.form), sorted((name, text_of(value)) for name, value in wanted["body"].items())
        else:
            sent, body = json.loads(self.body), json.loads(wanted["body"])
        if sent != body:
            yield f"the body is {sent}, which botocore would have sent as {body}"

    def signature(self):
        if not self.key:
            yield "signed with credentials that nobody handed out"
            return
        digest = self.headers.get("x-amz-content-sha256")
        if digest not in (None, "UNSIGNED-PAYLOAD", hashlib.sha256(self.body).hexdigest()):
            yield "x-amz-content-sha256 is not that of the body"
        names = self.authorization["SignedHeaders"].split(";")
        headers = {name: self.headers[name] for name in names}
        request = AWSRequest(method=self.method, url=self.url, data=self.body, headers=headers)
        request.context["timestamp"] = self.headers["x-amz-date"]
        signer = (S3SigV4Auth if self.protocol == "rest-xml" else SigV4Auth)(Credentials(*self.key), self.scope[3], self.scope[2])
        to_sign = signer.string_to_sign(request, signer.canonical_request(request))
        if signer.signature(to_sign, request) != self.authorization["Signature"]:
            yield "botocore computes another signature"


class Answer:
    """One answer, compared with what the operation may answer."""

    def __init__(self, call, answer):
        self.call, self.status = call, answer["status"]
        self.headers, self.body = HeadersDict(answer["headers"]), base64.b64decode(answer["body"])

    def differences(self):
        protocol, operation = self.call.protocol, self.call.operation
        raw = {"status_code": self.status, "headers": self.headers, "body": self.body}
        parsed = create_parser(protocol).parse(raw, operation.output_shape)
        metadata = parsed.pop("ResponseMetadata")
        if not metadata.get("RequestId"):
            yield "no request id"
        if self.status == 304:
            if self.body or not self.headers.get("etag") or self.call.method not in ("GET", "HEAD"):
                yield "304 has a body, or no ETag"
            return
        if self.status >= 300:
            yield from self.error(parsed["Error"])
            return
        if protocol == "query":
            yield from self.envelope(ElementTree.fromstring(self.body))
        elif protocol == "rest-xml":
            yield from self.document()
        else:
            yield from raw_json(operation.output_shape, json.loads(self.body), "answer")
        if operation.output_shape:
            report = ParamValidator().validate(without_empty(operation.output_shape, parsed), operation.output_shape)
            yield from filter(None, report.generate_report().split("\n"))
            yield from constraints(operation.output_shape, parsed, "answer")

    def error(self, error):
        shapes = described(self.call.scope[3])["shapes"]
        modeled = {shape.error_code: shapes[shape.name] for shape in self.call.operation.error_shapes}
        code, common = error["Code"], COMMON_ERRORS[self.call.protocol]
        if code in modeled:
            usual = 500 if modeled[code].get("fault") else 400
            wanted = modeled[code].get("error", {}).get("httpStatusCode", usual)
            if self.status != wanted:
                yield f"{code} comes with {wanted}, not with {self.status}"
            # The services do not agree on the case of `message`; each model says which it is.
            if self.call.protocol == "json":
                unknown = json.loads(self.body).keys() - {"__type"} - modeled[code]["members"].keys()
                yield from (f"{code} has no member {name}" for name in sorted(unknown))
        elif code not in common:
            yield f"{code} is neither an error of {self.call.operation.name} nor a common one"
        if not error.get("Message"):
            yield f"{code} has no message"

    def document(self):
        """An answer of S3: a list is XML, all others have nothing but what the head and an object have."""
        if self.call.operation.name != "ListObjectsV2":
            return
        namespace, root = "http://s3.amazonaws.com/doc/2006-03-01/", ElementTree.fromstring(self.body)
        if root.tag != f"{{{namespace}}}ListBucketResult":
            yield f"{root.tag}, not ListBucketResult"
        yield from raw_xml(self.call.operation.output_shape, root, "answer", namespace)

    def envelope(self, root):
        """`<OperationResponse><OperationResult>…</OperationResult><ResponseMetadata>…`"""
        operation = self.call.operation
        namespace, name = operation.metadata["xmlNamespace"], operation.name
        tags = [f"{{{namespace}}}{tag}" for tag in (f"{name}Response", f"{name}Result", "ResponseMetadata")]
        children = {child.tag: child for child in root}
        wanted = tags[1:] if operation.output_shape else tags[2:]
        if root.tag != tags[0] or list(children) != wanted:
            yield f"{root.tag} with {list(children)}, not {tags[0]} with {wanted}"
        elif operation.output_shape:
            yield from raw_xml(operation.output_shape, children[tags[1]], "answer", namespace)


def without_empty(shape, value):
    """Services answer an empty list where their model asks for one entry at least."""
    if shape.type_name == "structure":
        members = {name: (shape.members[name], item) for name, item in value.items()}
        left = {name: both for name, both in members.items() if both[1] != [] or not both[0].metadata.get("min")}
        return {name: without_empty(*both) for name, both in left.items()}
    return [without_empty(shape.member, item) for item in value] if shape.type_name == "list" else value


def raw_json(shape, value, path):
    """What a parser forgives: members that the model does not have, null, and moments and bytes of another spelling."""
    if value is None:
        yield f"{path} is null"
    elif shape and shape.type_name == "structure":
        members = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        for name, item in value.items():
            if name not in members:
                yield f"{path} has no member {name}"
            else:
                yield from raw_json(members[name], item, f"{path}.{name}")
    elif shape and shape.type_name == "list":
        for number, item in enumerate(value):
            yield from raw_json(shape.member, item, f"{path}[{number}]")
    elif shape and shape.type_name == "timestamp" and not isinstance(value, (int, float)):
        yield f"{path} is no number of seconds"
    elif shape and shape.type_name == "blob" and base64.b64encode(base64.b64decode(value)).decode() != value:
        yield f"{path} is not base64"


def raw_xml(shape, node, path, namespace):
    """The same of XML, where every value is text."""
    if shape.type_name == "structure":
        members = shape.members.items()
        names = {f"{{{namespace}}}{member.serialization.get('name', name)}": name for name, member in members}
        for child in node:
            if child.tag not in names:
                yield f"{path} has no member {child.tag}"
            else:
                name = names[child.tag]
                member = shape.members[name]
                # A flattened list has each of its items where the others have the list.
                member = member.member if member.serialization.get("flattened") else member
                yield from raw_xml(member, child, f"{path}.{name}", namespace)
    elif shape.type_name == "list":
        for number, child in enumerate(node):
            if child.tag != f"{{{namespace}}}member":
                yield f"{path}[{number}] is {child.tag}"
            yield from raw_xml(shape.member, child, f"{path}[{number}]", namespace)
    elif len(node):
        yield f"{path} is no text"
    elif shape.type_name == "boolean" and node.text not in ("true", "false"):
        yield f"{path} is {node.text}, not true or false"


def judge(exchange):
    operation, found = "unreadable", []
    part = "request"
    try:
        call = Call(exchange)
        operation = f"{call.scope[3]} {call.operation.name}"
        found.extend(f"{part}: {difference}" for difference in call.differences())
        part = "answer"
        if exchange["answer"]:
            found.extend(f"{part}: {difference}" for difference in Answer(call, exchange["answer"]).differences())
    except Exception as error:  # What cannot be read at all is the worst difference.
        found.append(f"{part}: {type(error).__name__}: {error}")
    return {"operation": operation, "differences": found}


json.dump([judge(exchange) for exchange in json.load(sys.stdin)], sys.stdout)
