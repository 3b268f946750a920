"""Keystores of a tenant's own certificates, as Java's keytool makes them."""

from sluice import run

STORE_PASSWORD, KEY_PASSWORD, TRUST_PASSWORD = "Heron-lake-17", "Egret-pond-23", "Stork-reed-31"


def keytool(*arguments):
    return run("keytool", "-J-XX:TieredStopAtLevel=1", *arguments)


def bad_pairs(authority, addresses):
    """PEM that is refused: the code of the reason, certificate, key, and the chain that is sent with them."""
    good, wrong = authority.server("good", addresses), ["127.0.0.99"]
    return [("certificate-expired", *authority.server("ended", addresses, -1), authority.pem), ("key-mismatch", good[0], authority.key, authority.pem),
            ("missing-chain", *good, None), ("uncovered-address", *authority.server("elsewhere", wrong), authority.pem)]


def jks(authority, leaf, key):
    """A JKS keystore with a password of its own for the key and no root in it, and the JKS truststore that holds the root."""
    bundle, store, trust = (authority.at / name for name in ("server.p12", "server.jks", "trust.jks"))
    run("openssl", "pkcs12", "-export", "-name", "kafka", "-in", leaf, "-inkey", key, "-passout", f"pass:{STORE_PASSWORD}", "-out", bundle)
    keytool("-importkeystore", "-srckeystore", bundle, "-srcstoretype", "PKCS12", "-srcstorepass", STORE_PASSWORD, "-srcalias", "kafka",
            "-destkeystore", store, "-deststoretype", "JKS", "-deststorepass", STORE_PASSWORD, "-destkeypass", KEY_PASSWORD)
    keytool("-importcert", "-noprompt", "-alias", "root", "-file", authority.pem, "-keystore", trust, "-storetype", "JKS", "-storepass", TRUST_PASSWORD)
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
