"""A certificate authority that openssl makes, and what it issues to servers and clients."""

from sluice import run

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


class Authority:
    def __init__(self, files, name):
        self.at = files / f"authority-{name}"
        self.at.mkdir(exist_ok=True)
        for old in self.at.iterdir():
            old.unlink()
        self.key, self.pem = self.at / "root.key", self.at / "root.pem"
        run("openssl", "req", "-x509", *NEW_KEY, "-days", "365", "-subj", f"/O=Acme/CN=Root {name}", "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self.key, "-out", self.pem)

    def issue(self, name, subject, extensions, days):
        """Certificate and key in PEM; one of less than no days has ended."""
        key, csr, leaf, wanted = (self.at / f"{name}{end}" for end in (".key", ".csr", "-leaf.pem", ".ext"))
        wanted.write_text(extensions)
        run("openssl", "req", *NEW_KEY, "-subj", subject, "-keyout", key, "-out", csr)
        run("openssl", "x509", "-req", "-in", csr, "-CA", self.pem, "-CAkey", self.key, "-CAcreateserial", "-days", days, "-extfile", wanted, "-out", leaf)
        return leaf, key

    def server(self, name, addresses, days=365):
        names = ",".join(f"IP:{address}" for address in addresses)
        return self.issue(name, "/CN=kafka.example.com", f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n", days)

    def client(self, name, usage="clientAuth"):
        """Key and certificate in one file, as Java takes them."""
        leaf, key = self.issue(name, f"/OU=web/CN={name}", f"extendedKeyUsage={usage}\n", 7)
        both = self.at / f"{name}.pem"
        both.write_text(key.read_text() + leaf.read_text())
        return both

    def revoking(self, client):
        """The list on which this client's certificate stands."""
        config, crl = self.at / "ca.cnf", self.at / "list.pem"
        (self.at / "index.txt").touch()
        config.write_text(f"[ca]\ndefault_ca=own\n[own]\ndatabase={self.at}/index.txt\ndefault_md=sha256\ndefault_crl_days=7\ncrl_extensions=two\ncrlnumber={self.at}/number\n[two]\nauthorityKeyIdentifier=keyid\n")
        (self.at / "number").write_text("01\n")
        common = ["openssl", "ca", "-config", config, "-keyfile", self.key, "-cert", self.pem]
        run(*common, "-revoke", client.with_name(f"{client.stem}-leaf.pem"))
        run(*common, "-gencrl", "-out", crl)
        return crl
