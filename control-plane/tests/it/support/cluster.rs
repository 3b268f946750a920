//! A Postgres cluster for the life of the test binary, from the system's binaries: in a temporary directory, on a unix
//! socket only, never as root. Or the one at `DATABASE_URL`, which must let its user make roles and databases.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

/// Where databases are made: URL of a superuser without the database's name.
#[derive(Debug)]
pub struct Cluster {
    directory: Option<PathBuf>,
    url: String,
    psql: PathBuf,
    /// The watcher: Postgres ends when the pipe to it closes, however this process ends.
    _watcher: Option<Child>,
}

static CLUSTER: OnceLock<Cluster> = OnceLock::new();

impl Cluster {
    /// Started at the first call; blocking.
    pub fn get() -> &'static Self {
        CLUSTER.get_or_init(|| match env::var("DATABASE_URL") {
            Ok(url) => Self { directory: None, url, psql: binaries().join("psql"), _watcher: None },
            Err(_) => Self::start(),
        })
    }

    /// URL of `database` for `role`.
    pub fn url(&self, role: &str, database: &str) -> String {
        match &self.directory {
            Some(directory) => format!("postgres://{role}@localhost/{database}?host={}", directory.display()),
            None => {
                let mut parts = self.url.splitn(2, "://").last().unwrap_or_default().splitn(2, '@');
                let (first, second) = (parts.next().unwrap_or_default(), parts.next());
                let (user, rest) = second.map_or(("", first), |rest| (first, rest));
                let host = rest.split(['/', '?']).next().unwrap_or_default();
                let user = if role == "postgres" { user.to_owned() } else { format!("{role}:{role}") };
                format!("postgres://{user}@{host}/{database}")
            }
        }
    }

    /// Runs a file of SQL with psql and variables, as `make up` does.
    pub fn psql(&self, database: &str, file: &Path, variables: &[(&str, &str)]) {
        let mut command = Command::new(&self.psql);
        command.args(["-qX", "-v", "ON_ERROR_STOP=1", "-d", &self.url("postgres", database), "-f"]).arg(file);
        for (name, value) in variables {
            command.arg("-v").arg(format!("{name}={value}"));
        }
        let output = command.output().expect("psql runs");
        assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn dump(&self, database: &str) -> Vec<u8> {
        let output = Command::new(self.psql.with_file_name("pg_dump"))
            .args(["-d", &self.url("postgres", database)])
            .output()
            .expect("pg_dump runs");
        assert!(output.status.success(), "pg_dump: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn start() -> Self {
        let binaries = binaries();
        let directory = tempfile::Builder::new().prefix("sluice-pg-").tempdir().expect("a temporary directory").keep();
        let mut shell = unprivileged(&directory);
        let script = r#"
            trap '' INT
            "$0/initdb" -D "$1/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$1/log" 2>&1 || exit 1
            "$0/postgres" -D "$1/data" -k "$1" -c listen_addresses= -c fsync=off -c full_page_writes=off \
                -c synchronous_commit=off -c max_connections=400 -c shared_buffers=64MB >>"$1/log" 2>&1 &
            server=$!
            cat >/dev/null
            kill -INT $server
            wait $server
            rm -rf "$1"
        "#;
        let watcher = shell
            .args(["sh", "-c", script])
            .arg(&binaries)
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts Postgres");
        let psql = binaries.join("psql");
        let cluster = Self { url: String::new(), psql, directory: Some(directory.clone()), _watcher: Some(watcher) };
        wait_until(
            "Postgres answers",
            || {
                Command::new(binaries.join("pg_isready"))
                    .args(["-q", "-h"])
                    .arg(&directory)
                    .status()
                    .is_ok_and(|status| status.success())
            },
            &directory.join("log"),
        );
        cluster
    }
}

/// Postgres refuses to run as root: root hands the directory to `nobody` and becomes it.
fn unprivileged(directory: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new("env");
    }
    let status = Command::new("chown").arg("nobody").arg(directory).status().expect("chown runs");
    assert!(status.success(), "the directory cannot be given to nobody");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
    command
}

/// `$SLUICE_TOOLS/postgres/bin`, the newest of /usr/lib/postgresql, or what is in PATH.
fn binaries() -> PathBuf {
    let mut places: Vec<PathBuf> = Vec::new();
    if let Ok(tools) = env::var("SLUICE_TOOLS") {
        places.push(Path::new(&tools).join("postgres/bin"));
    }
    let mut system: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    system.sort();
    places.extend(system.into_iter().rev());
    places.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    places
        .into_iter()
        .find(|place| place.join("initdb").exists())
        .expect("Postgres binaries: install the package postgresql, or set SLUICE_TOOLS or DATABASE_URL")
}

fn wait_until(what: &str, condition: impl Fn() -> bool, log: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "{what}: not within a minute\n{}",
            fs::read_to_string(log).unwrap_or_default()
        );
        thread::sleep(Duration::from_millis(50));
    }
}
