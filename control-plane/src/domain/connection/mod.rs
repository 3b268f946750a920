//! The connection guide: for each client, complete files that run as they are printed.
//!
//! The files under `templates/` are the programs themselves, with names in double braces where this instance's address,
//! user and topic go. Each writes one message and reads it back over SASL_SSL with host-name verification, and takes the
//! password from the environment; no password is ever printed. What is put into them has been checked to be of
//! characters that need no quoting in any of the languages.

use control_plane_api::{
    access::SaslMechanism,
    connection::{ClientKind, ConnectionPath, Snippet, SnippetFile},
    instance::Bootstrap,
    problem::FieldError,
};

/// Topic of the code when none is named.
pub const DEFAULT_TOPIC: &str = "example";
/// Environment variable that holds the password.
pub const PASSWORD_VARIABLE: &str = "KAFKA_PASSWORD";
/// The file that holds the certificates to trust.
pub const CA_FILE: &str = "sluice-ca.pem";

/// What the code is written for.
#[derive(Debug, Clone, Copy)]
pub struct Guide<'a> {
    /// `host:port,…` of a SASL_SSL path.
    pub bootstrap: &'a str,
    /// What the user's password is proved by.
    pub mechanism: SaslMechanism,
    pub user: &'a str,
    pub topic: &'a str,
    /// The platform's CA.
    pub ca_pem: &'a str,
}

/// What code begins with that connects by this path, or by the first that is open.
pub fn servers(bootstrap: &Bootstrap, path: Option<ConnectionPath>) -> Result<&str, FieldError> {
    let ways = [
        (ConnectionPath::Private, "private", &bootstrap.private_sasl_ssl),
        (ConnectionPath::Public, "public", &bootstrap.public_sasl_ssl),
        (ConnectionPath::CrossNetwork, "cross-network", &bootstrap.cross_network),
    ];
    let open = || ways.iter().filter(|(_, _, servers)| !servers.is_empty());
    let found = open().find(|(way, _, _)| path.is_none_or(|path| path == *way));
    found.map(|(_, _, servers)| servers.as_str()).ok_or_else(|| {
        let accepted: Vec<&str> = open().map(|(_, name, _)| *name).collect();
        let detail = match accepted.as_slice() {
            [] => "no way in with a login is open: switch private_sasl_ssl, public_sasl_ssl or cross_network on"
                .to_owned(),
            open => format!("this way in is closed; accepted: {}", open.join(", ")),
        };
        FieldError::new("path", "way-closed", detail).with("accepted", accepted)
    })
}

/// What the code for this client signs in by, of the mechanisms that are on, strongest first.
pub fn mechanism(client: ClientKind, on: &[SaslMechanism]) -> Result<SaslMechanism, FieldError> {
    // Its template says why.
    let preferred = (client == ClientKind::Kcat).then_some(SaslMechanism::Plain);
    let found = preferred.filter(|mechanism| on.contains(mechanism)).or_else(|| on.first().copied());
    found.ok_or_else(|| {
        let detail =
            "no mechanism for passwords is on, and the code needs one: see `mechanisms` of the instance's access";
        FieldError::new("client", "no-mechanism", detail)
    })
}

/// Faults of what a caller wants in the code: anything that could not be a Kafka user or topic, and so could break out
/// of a string.
pub fn check(user: &str, topic: &str) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if !crate::domain::names::is_name(user) {
        let detail = "a Kafka user's name is 4 to 64 letters, digits, '-' and '_', beginning with a letter";
        faults.push(FieldError::new("user", "user-shape", detail));
    }
    if !is_topic(topic) {
        let detail = "a topic's name is 1 to 249 letters, digits, '.', '-' and '_'";
        faults.push(FieldError::new("topic", "topic-shape", detail));
    }
    faults
}

/// What Kafka takes as a topic's name.
fn is_topic(name: &str) -> bool {
    (1..=249).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))
}

/// A file of a snippet: its name and its template.
type Template = (&'static str, &'static str);

macro_rules! template {
    ($name:literal) => {
        template!($name, $name)
    };
    ($name:literal, $path:literal) => {
        ($name, include_str!(concat!("templates/", $path)))
    };
}

const JAVA: &[Template] =
    &[template!("pom.xml", "java/pom.xml"), template!("src/main/java/Example.java", "java/src/main/java/Example.java")];
const PYTHON: &[Template] =
    &[template!("requirements.txt", "python/requirements.txt"), template!("example.py", "python/example.py")];
const GO: &[Template] = &[
    template!("go.mod", "go/go.mod.template"),
    template!("go.sum", "go/go.sum"),
    template!("main.go", "go/main.go.template"),
];
const NODE: &[Template] = &[
    template!("package.json", "node/package.json"),
    template!("package-lock.json", "node/package-lock.json"),
    template!("example.js", "node/example.js"),
];
const RUST: &[Template] =
    &[template!("Cargo.toml", "rust/Cargo.toml.template"), template!("src/main.rs", "rust/src/main.rs.template")];
const KCAT: &[Template] = &[template!("example.sh", "kcat/example.sh")];
const PROPERTIES: &[Template] = &[template!("client.properties", "properties/client.properties")];

/// Files of the client and the commands that run them.
fn parts(client: ClientKind) -> (&'static [Template], &'static [&'static str]) {
    match client {
        ClientKind::Java => (JAVA, &["mvn -q compile exec:java"]),
        ClientKind::Python => (
            PYTHON,
            &["python3 -m venv .venv", ".venv/bin/pip install -q -r requirements.txt", ".venv/bin/python example.py"],
        ),
        ClientKind::Go => (GO, &["go run ."]),
        ClientKind::Node => (NODE, &["npm ci --ignore-scripts", "node example.js"]),
        ClientKind::Rust => (RUST, &["cargo run"]),
        ClientKind::Kcat => (KCAT, &["sh example.sh"]),
        ClientKind::Properties => (
            PROPERTIES,
            &[
                "kafka-topics.sh --bootstrap-server {{bootstrap}} --command-config client.properties --create --if-not-exists --topic {{topic}}",
                "echo hello | kafka-console-producer.sh --bootstrap-server {{bootstrap}} --producer.config client.properties --topic {{topic}}",
                "kafka-console-consumer.sh --bootstrap-server {{bootstrap}} --consumer.config client.properties --topic {{topic}} --from-beginning --max-messages 1",
            ],
        ),
    }
}

/// The code for one client. `guide` has passed [`check`].
pub fn snippet(client: ClientKind, guide: &Guide<'_>) -> Snippet {
    let (templates, run) = parts(client);
    let mut files: Vec<SnippetFile> = templates
        .iter()
        .map(|(name, template)| SnippetFile { name: (*name).to_owned(), content: fill(template, guide) })
        .collect();
    files.push(SnippetFile { name: CA_FILE.to_owned(), content: guide.ca_pem.to_owned() });
    Snippet {
        client,
        files,
        environment: vec![PASSWORD_VARIABLE.to_owned()],
        run: run.iter().map(|command| fill(command, guide)).collect(),
    }
}

/// What a mechanism is called in the code of clients that do not go by its name.
struct Words {
    java_module: &'static str,
    go_package: &'static str,
    go_method: &'static str,
    rust_constructor: &'static str,
}

fn words(mechanism: SaslMechanism) -> Words {
    let scram = |go_method, rust_constructor| Words {
        java_module: "scram.ScramLoginModule",
        go_package: "scram",
        go_method,
        rust_constructor,
    };
    match mechanism {
        SaslMechanism::ScramSha512 => scram("AsSha512Mechanism", "sasl_scram_sha512"),
        SaslMechanism::ScramSha256 => scram("AsSha256Mechanism", "sasl_scram_sha256"),
        SaslMechanism::Plain => Words {
            java_module: "plain.PlainLoginModule",
            go_package: "plain",
            go_method: "AsMechanism",
            rust_constructor: "sasl_plain",
        },
    }
}

fn fill(template: &str, guide: &Guide<'_>) -> String {
    let mechanism = guide.mechanism.as_str();
    let words = words(guide.mechanism);
    [
        ("{{bootstrap}}", guide.bootstrap),
        ("{{user}}", guide.user),
        ("{{topic}}", guide.topic),
        ("{{mechanism}}", mechanism),
        ("{{mechanism_lower}}", &mechanism.to_ascii_lowercase()),
        ("{{java_module}}", words.java_module),
        ("{{go_package}}", words.go_package),
        ("{{go_method}}", words.go_method),
        ("{{rust_constructor}}", words.rust_constructor),
        ("{{ca_file}}", CA_FILE),
    ]
    .into_iter()
    .fold(template.to_owned(), |text, (name, value)| text.replace(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENTS: [ClientKind; 7] = [
        ClientKind::Java,
        ClientKind::Python,
        ClientKind::Go,
        ClientKind::Node,
        ClientKind::Rust,
        ClientKind::Kcat,
        ClientKind::Properties,
    ];
    const GUIDE: Guide<'static> = Guide {
        bootstrap: "127.1.0.1:9093,127.1.0.2:9093",
        mechanism: SaslMechanism::ScramSha512,
        user: "alice",
        topic: "orders.eu",
        ca_pem: "-----BEGIN",
    };

    #[test]
    fn every_place_of_every_template_is_filled() {
        for client in CLIENTS {
            let snippet = snippet(client, &GUIDE);
            let texts = snippet.files.iter().map(|file| &file.content).chain(&snippet.run);
            for text in texts {
                assert!(!text.contains("{{"), "{client:?} has an open place:\n{text}");
            }
        }
    }

    #[test]
    fn each_client_is_given_its_address_user_topic_and_trust() {
        for client in CLIENTS {
            let snippet = snippet(client, &GUIDE);
            let all: String = snippet
                .files
                .iter()
                .map(|file| file.content.as_str())
                .chain(snippet.run.iter().map(String::as_str))
                .collect();
            for needle in [GUIDE.bootstrap, "alice", "orders.eu", CA_FILE, PASSWORD_VARIABLE] {
                assert!(all.contains(needle), "{client:?} lacks {needle}");
            }
            assert!(snippet.files.iter().any(|file| file.name == CA_FILE && file.content == GUIDE.ca_pem));
        }
    }

    #[test]
    fn code_signs_in_by_the_strongest_mechanism_that_is_on_and_kcat_by_plain_where_it_can() {
        use SaslMechanism::{Plain, ScramSha256, ScramSha512};
        let chosen = |client, on: &[SaslMechanism]| mechanism(client, on).map_err(|fault| fault.code);
        assert_eq!(chosen(ClientKind::Java, &SaslMechanism::ALL), Ok(ScramSha512));
        assert_eq!(chosen(ClientKind::Kcat, &SaslMechanism::ALL), Ok(Plain));
        assert_eq!(chosen(ClientKind::Kcat, &[ScramSha256]), Ok(ScramSha256));
        assert_eq!(chosen(ClientKind::Java, &[]), Err("no-mechanism".to_owned()));
        // As each client spells it.
        let spelled = [
            (
                ScramSha512,
                ["ScramLoginModule", "SCRAM-SHA-512", "AsSha512Mechanism", "scram-sha-512", "sasl_scram_sha512"],
            ),
            (
                ScramSha256,
                ["ScramLoginModule", "SCRAM-SHA-256", "AsSha256Mechanism", "scram-sha-256", "sasl_scram_sha256"],
            ),
            (Plain, ["PlainLoginModule", "PLAIN", "plain.Auth", "\"plain\"", "sasl_plain"]),
        ];
        for (mechanism, spellings) in spelled {
            for (client, spelling) in CLIENTS.into_iter().zip(spellings) {
                let snippet = snippet(client, &Guide { mechanism, ..GUIDE });
                assert!(
                    snippet.files.iter().any(|file| file.content.contains(spelling)),
                    "{client:?} lacks {spelling}"
                );
            }
        }
    }

    #[test]
    fn code_connects_by_the_way_that_was_asked_for_or_the_first_that_is_open() {
        let bootstrap =
            Bootstrap { public_sasl_ssl: "p:9095".into(), cross_network: "c:9011".into(), ..Bootstrap::default() };
        assert_eq!(servers(&bootstrap, None).unwrap(), "p:9095");
        assert_eq!(servers(&bootstrap, Some(ConnectionPath::CrossNetwork)).unwrap(), "c:9011");
        let fault = servers(&bootstrap, Some(ConnectionPath::Private)).unwrap_err();
        assert_eq!((fault.code.as_str(), fault.pointer.as_str()), ("way-closed", "path"));
        assert!(servers(&Bootstrap::default(), None).is_err());
    }

    #[test]
    fn what_could_break_out_of_a_string_is_refused() {
        for (user, topic) in [("alice\"", "orders"), ("alice", "or'ders"), ("alice", "a b"), ("alice", ".."), ("", "")]
        {
            assert!(!check(user, topic).is_empty(), "{user:?} {topic:?}");
        }
        assert!(check("alice", "orders.eu_1-x").is_empty());
    }
}
