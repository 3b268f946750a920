use super::*;
use crate::supervisor::jvm::Tools;
use crate::supervisor::properties::{KafkaPaths, server_properties};
use crate::support::{KAFKA_NEW, KAFKA_OLD, TestInstance, tools_with_kafka};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use broker_api::secret::Secret;
use std::process::Command;

const NOW_MS: i64 = 1_700_000_000_000;
const PASSWORD: &str = "a-password-of-this-test-0123456789";

fn format(data: &Path, spec: &NodeSpec) -> Result<Formatted, StorageError> {
    ensure_formatted(data, spec, Line::of(&spec.kafka.version).unwrap(), NOW_MS)
}

#[test]
fn storage_is_formatted_once() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let spec = TestInstance::fixed(KAFKA_NEW, 3).spec(2);
    assert_eq!(format(&data, &spec).unwrap(), Formatted::Now);
    let meta = fs::read_to_string(data.join(META_PROPERTIES)).unwrap();
    assert_eq!(format(&data, &spec).unwrap(), Formatted::Before);
    assert_eq!(fs::read_to_string(data.join(META_PROPERTIES)).unwrap(), meta);
    assert!(meta.contains("node.id=2\n") && meta.contains(&format!("directory.id={}\n", spec.identity.directory_id)));
}

#[test]
fn an_empty_directory_such_as_a_new_volume_is_formatted() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    assert_eq!(format(&data, &TestInstance::fixed(KAFKA_NEW, 1).spec(1)).unwrap(), Formatted::Now);
}

#[test]
fn a_format_that_was_cut_off_is_done_anew() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let unfinished = dir.path().join("data.formatting");
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join(META_PROPERTIES), "node.i").unwrap();
    let spec = TestInstance::fixed(KAFKA_NEW, 1).spec(1);
    assert_eq!(format(&data, &spec).unwrap(), Formatted::Now);
    assert_eq!(format(&data, &spec).unwrap(), Formatted::Before);
    assert!(!unfinished.exists());
}

#[test]
fn storage_of_another_node_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let instance = TestInstance::fixed(KAFKA_NEW, 3);
    format(&data, &instance.spec(1)).unwrap();
    let before = fs::read(data.join(META_PROPERTIES)).unwrap();
    let error = format(&data, &instance.spec(2)).unwrap_err();
    assert!(error.to_string().contains("node.id is \"1\" and should be \"2\""), "{error}");
    let mut other_cluster = instance.spec(1);
    other_cluster.identity.cluster_id = "AAAAAAAAAAAAAAAAAAAAAA".to_owned();
    let error = format(&data, &other_cluster).unwrap_err();
    assert!(error.to_string().contains("cluster.id"), "{error}");
    assert_eq!(fs::read(data.join(META_PROPERTIES)).unwrap(), before);
}

#[test]
fn a_directory_with_something_else_in_it_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("somebody's"), "work").unwrap();
    let error = format(&data, &TestInstance::fixed(KAFKA_NEW, 1).spec(1)).unwrap_err();
    assert!(error.to_string().contains("somebody's"), "{error}");
}

#[test]
fn the_files_are_those_of_kafka_s_own_tool_for_4_3() {
    assert_same_as_tool(KAFKA_NEW, Some(PASSWORD));
    assert_same_as_tool(KAFKA_NEW, None);
}

#[test]
fn the_files_are_those_of_kafka_s_own_tool_for_3_9() {
    assert_same_as_tool(KAFKA_OLD, Some(PASSWORD));
}

/// Formats the same node by Kafka's tool and by us, as a voter and as an observer, and compares.
fn assert_same_as_tool(version: &str, replication_password: Option<&str>) {
    let Some(tools) = tools_with_kafka(version) else { return };
    let tools = Tools::new(tools);
    let instance = TestInstance::fixed(version, 4);
    for (node, voter) in [(2, true), (4, false)] {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
        let mut spec = instance.spec(node);
        spec.kafka.replication_password = replication_password.map(Secret::new);
        format_by_tool(&tools, &spec, voter, dir.path(), &theirs);
        if !voter {
            // The tool draws an observer's id by lot; ours is the spec's.
            spec.identity.directory_id = meta(&theirs)["directory.id"].clone();
        }
        format(&ours, &spec).unwrap();
        assert_eq!(meta(&ours), meta(&theirs));
        let names = listing(&ours);
        assert_eq!(names, listing(&theirs));
        for name in names.iter().filter(|name| name.ends_with(".checkpoint")) {
            let (ours, theirs) = (fs::read(ours.join(name)).unwrap(), fs::read(theirs.join(name)).unwrap());
            assert_eq!(without_times(ours), without_times(theirs), "{name} of Kafka {version}");
        }
    }
}

fn format_by_tool(tools: &Tools, spec: &NodeSpec, voter: bool, work: &Path, data: &Path) {
    let line = Line::of(&spec.kafka.version).unwrap();
    let properties = work.join("server.properties");
    fs::write(&properties, server_properties(spec, line, &KafkaPaths::new(work, data.to_owned())).render()).unwrap();
    let voters: Vec<_> = spec
        .kafka
        .initial_controllers
        .iter()
        .map(|voter| format!("{}@{}:{}:{}", voter.node_id, voter.host, voter.port, voter.directory_id))
        .collect();
    let mut command = Command::new(tools.java());
    command
        .args(["-cp", &tools.class_path(&spec.kafka.version).unwrap()])
        .args(["kafka.tools.StorageTool", "format", "--release-version", line.as_str()])
        .args(["-t", &spec.identity.cluster_id, "-c", properties.to_str().unwrap()]);
    if let Some(password) = &spec.kafka.replication_password {
        let salt = BASE64.encode(checkpoint::uuid(&spec.identity.cluster_id).unwrap());
        let password = password.expose();
        command.args([
            "--add-scram",
            &format!("SCRAM-SHA-512=[name=sluice-node,salt=\"{salt}\",iterations=4096,password=\"{password}\"]"),
        ]);
    }
    match voter {
        true => command.args(["--initial-controllers", &voters.join(",")]),
        false => command.arg("--no-initial-controllers"),
    };
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn meta(data: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(data.join(META_PROPERTIES)).unwrap();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn listing(data: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(data).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => names.extend(listing(&entry.path()).into_iter().map(|inner| format!("{name}/{inner}"))),
            false => names.push(name),
        }
    }
    names.sort();
    names
}

/// Blanks what depends on the moment: checksum and times of each batch, and the time in the header of a
/// snapshot of the metadata log.
fn without_times(mut file: Vec<u8>) -> Vec<u8> {
    let mut start = 0;
    while start < file.len() {
        let length = u32::from_be_bytes(file[start + 8..start + 12].try_into().unwrap()) as usize;
        let stored = u32::from_be_bytes(file[start + 17..start + 21].try_into().unwrap());
        assert_eq!(crc32c::crc32c(&file[start + 21..start + 12 + length]), stored, "checksum");
        file[start + 17..start + 21].fill(0);
        file[start + 27..start + 43].fill(0);
        // First record of a file: length, attributes, deltas, key length, key (version, type 3), value
        // length, version; then the time.
        if start == 0 {
            assert_eq!(file[66..71], [0, 0, 0, 3, 22], "a snapshot header comes first");
            file[73..81].fill(0);
        }
        start += 12 + length;
    }
    file
}
