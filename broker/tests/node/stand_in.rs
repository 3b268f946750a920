//! A stand-in for the JVM, where Kafka is not the point: it answers ApiVersions on PLN, and does what
//! files in its node directory say.
//!
//! The tests' tools directory has a `java` that runs this test binary again, with [`run`] alone.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::{env, fs, process, thread};

/// It prints the file's content and ends with status 3.
pub const FAIL: &str = "stand-in-fails";
/// It does not end when it is asked to.
pub const DEAF: &str = "stand-in-is-deaf";

/// Makes a tools directory whose Java is the stand-in.
pub fn make_tools(root: &Path, version: &str) {
    let libs = root.join("kafka").join(version).join("libs");
    fs::create_dir_all(&libs).unwrap();
    fs::write(libs.join("kafka.jar"), "").unwrap();
    let bin = root.join("java/bin");
    fs::create_dir_all(&bin).unwrap();
    let this = env::current_exe().unwrap();
    let script = format!("#!/bin/sh\nexec '{}' --exact stand_in::run --ignored --nocapture\n", this.display());
    fs::write(bin.join("java"), script).unwrap();
    fs::set_permissions(bin.join("java"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
#[ignore = "run by the tests themselves, in place of a JVM"]
fn run() {
    let Ok(properties) = fs::read_to_string("kafka/server.properties") else { return };
    if let Ok(cause) = fs::read_to_string(FAIL) {
        eprintln!("{cause}");
        process::exit(3);
    }
    if Path::new(DEAF).exists() {
        // Held by tokio from now on, and never looked at.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let deaf = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        std::mem::forget((deaf, runtime.handle().clone()));
        serve(&properties);
    }
    serve(&properties);
}

fn serve(properties: &str) -> ! {
    let listeners = properties.lines().find_map(|line| line.strip_prefix("listeners=")).unwrap();
    let address = listeners.split(',').find_map(|listener| listener.strip_prefix("PLN://")).unwrap();
    let listener = TcpListener::bind(address).unwrap();
    for stream in listener.incoming().flatten() {
        thread::spawn(move || answer(stream));
    }
    unreachable!("a listener does not end");
}

/// Answers every request as if it were ApiVersions: no error, no APIs.
fn answer(mut stream: TcpStream) {
    let mut head = [0; 12];
    while stream.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
        let mut rest = vec![0; length - 8];
        if stream.read_exact(&mut rest).is_err() {
            return;
        }
        let mut answer = 10u32.to_be_bytes().to_vec();
        answer.extend_from_slice(&head[8..]);
        answer.extend_from_slice(&[0; 6]);
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}
