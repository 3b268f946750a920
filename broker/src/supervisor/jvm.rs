//! How the JVM is started: program, arguments, where its parts lie. Pure but for looking up files.
//!
//! Owns the heap, collector and class-data choices (machine.md §0) and the layout of a tools
//! directory: `kafka/<version>/libs/*.jar`, `kafka/<version>/classes.jsa`, `java/bin/java`.

use super::logging::LogConfig;
use super::properties::KafkaPaths;
use crate::directory::NodeDirectory;
use broker_api::spec::Jvm;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Below this heap the serial collector needs less memory and less CPU than G1.
const G1_FROM_BYTES: u64 = 1 << 30;
const MIB: u64 = 1 << 20;
/// What the JVM itself prints: out of memory, a crash. Kafka's log is elsewhere.
pub const OUTPUT_LOG: &str = "jvm.log";
const GC_LOG: &str = "gc.log";

#[derive(Debug, thiserror::Error)]
pub enum JvmError {
    #[error("Apache Kafka {version} is not installed: {} cannot be read (scripts/fetch-kafka makes it)", path.display())]
    NotInstalled { version: String, path: PathBuf, source: io::Error },
    #[error("{} holds no jar files (scripts/fetch-kafka makes them)", path.display())]
    NoJars { path: PathBuf },
}

/// The tools directory (`$SLUICE_TOOLS`).
#[derive(Debug, Clone)]
pub struct Tools {
    root: PathBuf,
}

impl Tools {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The jars of a version, joined. Sorted, because a class-data archive is only good for the very
    /// class path that it was made with.
    pub fn class_path(&self, version: &str) -> Result<String, JvmError> {
        let path = self.root.join("kafka").join(version).join("libs");
        let not_installed = |source| JvmError::NotInstalled { version: version.to_owned(), path: path.clone(), source };
        let mut jars = Vec::new();
        for entry in fs::read_dir(&path).map_err(not_installed)? {
            let jar = entry.map_err(not_installed)?.path();
            if jar.extension().is_some_and(|extension| extension == "jar") {
                jars.push(jar.display().to_string());
            }
        }
        if jars.is_empty() {
            return Err(JvmError::NoJars { path });
        }
        jars.sort();
        Ok(jars.join(":"))
    }

    pub fn class_archive(&self, version: &str) -> Option<PathBuf> {
        let path = self.root.join("kafka").join(version).join("classes.jsa");
        path.is_file().then_some(path)
    }

    /// `java` of the tools directory, else of `JAVA_HOME`, else of `PATH`.
    pub fn java(&self) -> PathBuf {
        let bundled = self.root.join("java/bin/java");
        if bundled.is_file() {
            return bundled;
        }
        match env::var_os("JAVA_HOME") {
            Some(home) if !home.is_empty() => Path::new(&home).join("bin/java"),
            _ => PathBuf::from("java"),
        }
    }
}

/// What the arguments depend on.
#[derive(Debug)]
pub struct JvmPlan<'a> {
    pub jvm: &'a Jvm,
    pub class_path: &'a str,
    pub class_archive: Option<&'a Path>,
    pub directory: &'a NodeDirectory,
    pub kafka: &'a KafkaPaths,
    pub logging: &'a LogConfig,
    pub properties: &'a Path,
    /// The only names that the JVM may look up; none: whatever the machine's resolver knows.
    pub hosts: Option<&'a Path>,
}

/// The JVM's arguments.
pub fn arguments(plan: &JvmPlan<'_>) -> Vec<OsString> {
    let heap = plan.jvm.heap_bytes / MIB;
    let logs = plan.directory.logs();
    let mut arguments: Vec<OsString> = vec![
        format!("-Xms{heap}m").into(),
        format!("-Xmx{heap}m").into(),
        // Half alive is worse than dead: the supervisor starts it again.
        "-XX:+ExitOnOutOfMemoryError".into(),
        // No files under /tmp/hsperfdata.
        "-XX:-UsePerfData".into(),
        // Each thread would keep direct buffers as large as its largest request.
        "-Djdk.nio.maxCachedBufferSize=262144".into(),
        "-Djava.awt.headless=true".into(),
        format!("-Xlog:gc*:file={}:time,tags:filecount=3,filesize=4m", logs.join(GC_LOG).display()).into(),
    ];
    if plan.jvm.heap_bytes < G1_FROM_BYTES {
        arguments.push("-XX:+UseSerialGC".into());
    } else {
        arguments.push("-XX:+UseG1GC".into());
        // Kafka's own choices: short pauses, and collection before the heap is full of page-long buffers.
        arguments.push("-XX:MaxGCPauseMillis=20".into());
        arguments.push("-XX:InitiatingHeapOccupancyPercent=35".into());
        arguments.push("-XX:+ExplicitGCInvokesConcurrent".into());
    }
    if plan.jvm.fast_start {
        arguments.push("-XX:TieredStopAtLevel=1".into());
    }
    if let Some(archive) = plan.class_archive {
        arguments.push(format!("-XX:SharedArchiveFile={}", archive.display()).into());
        // Without it, rather than not at all, where the archive does not fit.
        arguments.push("-Xshare:auto".into());
        arguments.push("-Xlog:cds=off".into());
        arguments.push("-Xlog:cds+dynamic=off".into());
    }
    arguments.push(format!("-Dkafka.logs.dir={}", logs.display()).into());
    let logging = plan.directory.kafka().join(plan.logging.file);
    arguments.push(format!("-D{}=file://{}", plan.logging.property, logging.display()).into());
    arguments.push(format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={}", plan.kafka.token_keys_url()).into());
    if let Some(hosts) = plan.hosts {
        arguments.push(format!("-Djdk.net.hosts.file={}", hosts.display()).into());
    }
    arguments.push("-cp".into());
    arguments.push(plan.class_path.into());
    arguments.push("kafka.Kafka".into());
    arguments.push(plan.properties.into());
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::logging::log_config;
    use crate::supervisor::release::Line;

    fn flags(heap_bytes: u64, fast_start: bool, class_archive: Option<&Path>) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let directory = NodeDirectory::open(dir.path()).unwrap();
        let plan = JvmPlan {
            jvm: &Jvm { heap_bytes, fast_start },
            class_path: "/tools/a.jar:/tools/b.jar",
            class_archive,
            directory: &directory,
            kafka: &KafkaPaths::new(&directory.kafka(), directory.data()),
            logging: &log_config(Line::V4_3, &directory.logs()),
            properties: Path::new("/node/kafka/server.properties"),
            hosts: None,
        };
        arguments(&plan).into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    #[test]
    fn a_small_heap_is_collected_serially_and_a_large_one_by_g1() {
        let small = flags(384 << 20, false, None);
        assert!(small.contains(&"-Xmx384m".to_owned()) && small.contains(&"-Xms384m".to_owned()));
        assert!(small.contains(&"-XX:+UseSerialGC".to_owned()));
        assert!(flags(4 << 30, false, None).contains(&"-XX:+UseG1GC".to_owned()));
    }

    #[test]
    fn a_fast_start_stops_at_the_first_compiler_and_an_archive_is_used_where_there_is_one() {
        let plain = flags(1 << 30, false, None);
        assert!(!plain.iter().any(|flag| flag.contains("Tiered") || flag.contains("SharedArchive")));
        let fast = flags(1 << 30, true, Some(Path::new("/tools/classes.jsa")));
        assert!(fast.contains(&"-XX:TieredStopAtLevel=1".to_owned()));
        assert!(fast.contains(&"-XX:SharedArchiveFile=/tools/classes.jsa".to_owned()));
        assert!(fast.contains(&"-Xshare:auto".to_owned()), "an archive that does not fit must not keep Kafka down");
    }

    #[test]
    fn the_class_path_is_every_jar_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let libs = dir.path().join("kafka/4.3.1/libs");
        fs::create_dir_all(&libs).unwrap();
        let tools = Tools::new(dir.path());
        assert!(tools.class_path("4.3.1").unwrap_err().to_string().contains("holds no jar files"));
        for name in ["b.jar", "a.jar", ".made-from"] {
            fs::write(libs.join(name), "").unwrap();
        }
        assert_eq!(tools.class_path("4.3.1").unwrap(), format!("{0}/a.jar:{0}/b.jar", libs.display()));
        assert!(tools.class_path("3.9.2").unwrap_err().to_string().contains("is not installed"));
    }
}
