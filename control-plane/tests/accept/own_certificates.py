"""A tenant's own certificates: an authority that openssl makes, and files as Java's keytool makes them."""

from sluice import run

STORE_PASSWORD, KEY_PASSWORD, TRUST_PASSWORD = "Heron-lake-17", "Egret-pond-23", "Stork-reed-31"


def keytool(*arguments):
    return run("keytool", "-J-XX:TieredStopAtLevel=1", *arguments)


class Authority:
    def __init__(self, files, name):
        self.at = files / f"own-{name}"
        self.at.mkdir(exist_ok=True)
        for old in self.at.iterdir():
            old.unlink()
        self.key, self.pem = self.at / "root.key", self.at / "root.pem"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "365", "-subj", f"/CN=Root {name}",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self.key, "-out", self.pem)

    def issue(self, name, addresses, days=365):
        """Certificate and key in PEM; one of less than no days has ended."""
        key, csr, leaf, extensions = (self.at / f"{name}{end}" for end in (".key", ".csr", ".pem", ".ext"))
        extensions.write_text("subjectAltName=" + ",".join(f"IP:{address}" for address in addresses) + "\nextendedKeyUsage=serverAuth\n")
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=kafka.example.com", "-keyout", key, "-out", csr)
        run("openssl", "x509", "-req", "-in", csr, "-CA", self.pem, "-CAkey", self.key, "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", leaf)
        return leaf, key

    def jks(self, leaf, key):
        """A JKS keystore with a password of its own for the key and no root in it, and the JKS truststore that holds the root."""
        bundle, store, trust = self.at / "server.p12", self.at / "server.jks", self.at / "trust.jks"
        run("openssl", "pkcs12", "-export", "-name", "kafka", "-in", leaf, "-inkey", key, "-passout", f"pass:{STORE_PASSWORD}", "-out", bundle)
        keytool("-importkeystore", "-srckeystore", bundle, "-srcstoretype", "PKCS12", "-srcstorepass", STORE_PASSWORD, "-srcalias", "kafka",
                "-destkeystore", store, "-deststoretype", "JKS", "-deststorepass", STORE_PASSWORD, "-destkeypass", KEY_PASSWORD)
        keytool("-importcert", "-noprompt", "-alias", "root", "-file", self.pem, "-keystore", trust, "-storetype", "JKS", "-storepass", TRUST_PASSWORD)
        return store, trust


def keystore(files, name, addresses):
    """As a Java administrator makes one: a root of one's own and a PKCS#12 file with key and chain for these addresses."""
    for old in files.glob(f"{name}*"):
        if old.is_file():
            old.unlink()
    root, store, csr, leaf, pem = (files / f"{name}{end}" for end in ("-ca.p12", ".p12", ".csr", "-leaf.pem", "-root.pem"))
    common = ["-storetype", "PKCS12", "-storepass", STORE_PASSWORD]
    tool = lambda *arguments: keytool(*arguments, *common)
    key = ["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1"]
    tool(*key, "-alias", "root", "-dname", f"CN=Root {name}", "-ext", "bc:c", "-keystore", root)
    tool(*key, "-alias", "kafka", "-dname", "CN=kafka.example.com", "-keystore", store)
    tool("-certreq", "-alias", "kafka", "-keystore", store, "-file", csr)
    san = "san=" + ",".join(f"ip:{address}" for address in addresses)
    tool("-gencert", "-alias", "root", "-keystore", root, "-infile", csr, "-outfile", leaf, "-rfc", "-ext", san, "-validity", "365")
    tool("-exportcert", "-alias", "root", "-keystore", root, "-rfc", "-file", pem)
    tool("-importcert", "-noprompt", "-alias", "root", "-file", pem, "-keystore", store)
    tool("-importcert", "-alias", "kafka", "-file", leaf, "-keystore", store)
    return store, pem
