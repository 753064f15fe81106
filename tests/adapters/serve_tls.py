"""An HTTPS server for 127.0.0.1 and localhost on a free port, which it prints; its certificate goes to the file that it
is given. Ends when its standard input does.

`expired` as a second argument: the certificate is out of its time. `mutual`: the client must have a certificate, too.
`/seen?sni=NAME&host=NAME` is 200 if these are the name of the handshake and the Host header, else 421; `/status/CODE` is CODE."""
import datetime
import http.server
import ipaddress
import ssl
import sys
import tempfile
import threading
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

key = ec.generate_private_key(ec.SECP256R1())
name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "berth adapter test")])
how = sys.argv[2] if len(sys.argv) > 2 else ""
now = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=2 if how == "expired" else 0)
certificate = (
    x509.CertificateBuilder()
    .subject_name(name)
    .issuer_name(name)
    .public_key(key.public_key())
    .serial_number(x509.random_serial_number())
    .not_valid_before(now - datetime.timedelta(hours=1))
    .not_valid_after(now + datetime.timedelta(hours=1))
    .add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]), False
    )
    .sign(key, hashes.SHA256())
)
pem = certificate.public_bytes(serialization.Encoding.PEM)
with open(sys.argv[1], "wb") as file:
    file.write(pem)


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        status = 200
        if url.path.startswith("/status/"):
            status = int(url.path.removeprefix("/status/"))
        if url.path == "/seen":
            seen = {"sni": getattr(self.connection, "asked_for", None) or "", "host": self.headers["host"]}
            status = 200 if seen == dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True)) else 421
        self.send_response(status)
        self.send_header("content-length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
with tempfile.NamedTemporaryFile() as both:
    both.write(pem)
    both.write(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    both.flush()
    context.load_cert_chain(both.name)
context.sni_callback = lambda connection, name, _: setattr(connection, "asked_for", name)
if how == "mutual":
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=pem.decode())
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
