//! A certificate for one name, signed by itself, made by OpenSSL.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// A certificate, and its key.
pub struct Certificate {
    /// The certificate alone, in PEM: what a CA bundle is.
    pub pem: PathBuf,
    /// The certificate in DER, which is none.
    pub der: PathBuf,
    /// Key and certificate in one file, for a server.
    pub both: PathBuf,
    _files: TempDir,
}

impl Certificate {
    /// For this DNS name or IP address, for a day.
    ///
    /// # Panics
    /// If OpenSSL is not there.
    pub fn of(name: &str) -> Self {
        let files = tempfile::Builder::new().prefix("berth-certificate").tempdir().expect("a directory");
        // For a squid that is not root any more.
        fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755)).expect("its own directory");
        let path = |name: &str| files.path().join(name);
        let (pem, der, key, both) = (path("cert.pem"), path("cert.der"), path("key.pem"), path("both.pem"));
        // Of a server's, not of a CA's kind, as rustls wants it.
        let kind = if name.parse::<IpAddr>().is_ok() { "IP" } else { "DNS" };
        let config = format!(
            "[req]\nprompt=no\ndistinguished_name=subject\nx509_extensions=server\n[subject]\nCN={name}\n\
             [server]\nsubjectAltName={kind}:{name}\nbasicConstraints=critical,CA:FALSE\n"
        );
        fs::write(path("openssl.cnf"), config).expect("a file");
        let make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -config";
        let mut request = Command::new("openssl");
        run(request.args(make.split(' ')).arg(path("openssl.cnf")).arg("-keyout").arg(&key).arg("-out").arg(&pem));
        run(Command::new("openssl").args(["x509", "-outform", "der", "-in"]).arg(&pem).arg("-out").arg(&der));
        let text = [&key, &pem].map(|file| fs::read_to_string(file).expect("a file")).concat();
        fs::write(&both, text).expect("a file");
        fs::set_permissions(&both, fs::Permissions::from_mode(0o644)).expect("its own file");
        Self { pem, der, both, _files: files }
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("openssl, of the Debian package of that name: run `tests/install world`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
