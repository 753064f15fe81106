"""An HTTPS server for localhost on a free port, which it prints, by the OpenSSL that the package cryptography brings: newer than the system's, with
ML-KEM. Its certificate goes to the file that it is given. Ends when its standard input does.

The body of every answer is what was agreed on: key exchange group, version, name that was asked for (SNI), ALPN; `-` is none.
A second argument leaves the server less to agree on: `tls1_2`, or `p256` for that one group."""
import datetime
import socket
import sys
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

key = ec.generate_private_key(ec.SECP256R1())
name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "berth adapter test")])
now = datetime.datetime.now(datetime.timezone.utc)
certificate = (
    x509.CertificateBuilder()
    .subject_name(name)
    .issuer_name(name)
    .public_key(key.public_key())
    .serial_number(x509.random_serial_number())
    .not_valid_before(now - datetime.timedelta(hours=1))
    .not_valid_after(now + datetime.timedelta(hours=1))
    .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
    .sign(key, hashes.SHA256())
)
with open(sys.argv[1], "wb") as file:
    file.write(certificate.public_bytes(serialization.Encoding.PEM))
less = sys.argv[2] if len(sys.argv) > 2 else ""

context = SSL.Context(SSL.TLS_SERVER_METHOD)
context.use_certificate(certificate)
context.use_privatekey(key)
if less == "tls1_2":
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
if less == "p256":
    context.set_tmp_ecdh(ec.SECP256R1())


def answer(plain):
    connection = SSL.Connection(context, plain)
    connection.set_accept_state()
    try:
        connection.do_handshake()
        connection.recv(65536)
        agreed = [
            connection.get_group_name(),
            connection.get_protocol_version_name(),
            (connection.get_servername() or b"").decode(),
            connection.get_alpn_proto_negotiated().decode(),
        ]
        body = " ".join(word or "-" for word in agreed)
        connection.sendall(f"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
        connection.shutdown()
    except SSL.Error:
        pass
    finally:
        plain.close()


def serve():
    while True:
        threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()


server = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, daemon=True).start()
print(server.getsockname()[1], flush=True)
sys.stdin.read()
