//! Kafka's own logging configuration: what it writes to files, how large, how many. Pure.
//!
//! Nothing goes to the JVM's standard output, so that file stays small and holds only what the JVM
//! itself has to say (out of memory, a crash).

use super::release::Line;
use std::path::Path;

/// A file of this size is closed, and this many closed ones are kept: at most 40 MiB for each log.
const FILE_MIB: u32 = 8;
const CLOSED_FILES: u32 = 4;

/// Kafka's log, read for the cause when the JVM ends.
pub const SERVER_LOG: &str = "kafka.log";
/// Leader elections and partition states: long, and rarely of interest.
const STATE_LOG: &str = "kafka-state.log";
/// What the authorizer denied.
const AUTHORIZER_LOG: &str = "kafka-authorizer.log";

/// Loggers that write elsewhere than to [`SERVER_LOG`]: name, level, appender, file.
const APART: [(&str, &str, &str, &str); 3] = [
    ("state.change.logger", "INFO", "state", STATE_LOG),
    ("kafka.authorizer.logger", "INFO", "authorizer", AUTHORIZER_LOG),
    // One line a request at DEBUG, none at WARN; it names principals and topics.
    ("kafka.request.logger", "WARN", "server", SERVER_LOG),
];

/// Loggers that are told to say less: every component prints all its settings at its start, some
/// thousands of lines in all, and `server.properties` is beside the log.
const QUIET: [&str; 1] = ["org.apache.kafka.common.config.AbstractConfig"];

/// Name and text of the configuration file, and the system property that names it to the JVM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    pub file: &'static str,
    pub property: &'static str,
    pub text: String,
}

pub fn log_config(line: Line, logs: &Path) -> LogConfig {
    match line {
        Line::V3_9 => LogConfig { file: "log4j.properties", property: "log4j.configuration", text: reload4j(logs) },
        Line::V4_3 => LogConfig { file: "log4j2.properties", property: "log4j2.configurationFile", text: log4j2(logs) },
    }
}

const PATTERN: &str = "[%d] %p %m (%c)%n";

fn appenders() -> [(&'static str, &'static str); 3] {
    [("server", SERVER_LOG), ("state", STATE_LOG), ("authorizer", AUTHORIZER_LOG)]
}

fn reload4j(logs: &Path) -> String {
    let mut text = String::from("log4j.rootLogger=INFO, server\n");
    for (name, file) in appenders() {
        let path = escape(&logs.join(file));
        text.push_str(&format!(
            "log4j.appender.{name}=org.apache.log4j.RollingFileAppender\n\
             log4j.appender.{name}.File={path}\n\
             log4j.appender.{name}.MaxFileSize={FILE_MIB}MB\n\
             log4j.appender.{name}.MaxBackupIndex={CLOSED_FILES}\n\
             log4j.appender.{name}.layout=org.apache.log4j.PatternLayout\n\
             log4j.appender.{name}.layout.ConversionPattern={PATTERN}\n"
        ));
    }
    for (logger, level, appender, _) in APART {
        text.push_str(&format!("log4j.logger.{logger}={level}, {appender}\nlog4j.additivity.{logger}=false\n"));
    }
    for logger in QUIET {
        text.push_str(&format!("log4j.logger.{logger}=WARN\n"));
    }
    text
}

fn log4j2(logs: &Path) -> String {
    let mut text = String::from("status=error\nname=kafka\nrootLogger=INFO, server\n");
    for (name, file) in appenders() {
        let path = escape(&logs.join(file));
        text.push_str(&format!(
            "appender.{name}.type=RollingFile\n\
             appender.{name}.name={name}\n\
             appender.{name}.fileName={path}\n\
             appender.{name}.filePattern={path}.%i\n\
             appender.{name}.layout.type=PatternLayout\n\
             appender.{name}.layout.pattern={PATTERN}\n\
             appender.{name}.policies.type=Policies\n\
             appender.{name}.policies.size.type=SizeBasedTriggeringPolicy\n\
             appender.{name}.policies.size.size={FILE_MIB}MB\n\
             appender.{name}.strategy.type=DefaultRolloverStrategy\n\
             appender.{name}.strategy.max={CLOSED_FILES}\n"
        ));
    }
    for (index, (logger, level, appender, _)) in APART.iter().enumerate() {
        text.push_str(&format!(
            "logger.l{index}.name={logger}\n\
             logger.l{index}.level={level}\n\
             logger.l{index}.additivity=false\n\
             logger.l{index}.appenderRef.a.ref={appender}\n"
        ));
    }
    for (index, logger) in QUIET.iter().enumerate() {
        text.push_str(&format!("logger.q{index}.name={logger}\nlogger.q{index}.level=WARN\n"));
    }
    text
}

/// Backslashes start escapes in property files.
fn escape(path: &Path) -> String {
    path.display().to_string().replace('\\', "\\\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_log_is_bound_in_size_and_number_for_both_lines() {
        let logs = Path::new("/node/logs");
        let old = log_config(Line::V3_9, logs);
        assert_eq!((old.file, old.property), ("log4j.properties", "log4j.configuration"));
        let new = log_config(Line::V4_3, logs);
        assert_eq!((new.file, new.property), ("log4j2.properties", "log4j2.configurationFile"));
        for (_, file) in appenders() {
            assert!(old.text.contains(&format!("File=/node/logs/{file}\n")), "{}", old.text);
            assert!(new.text.contains(&format!("fileName=/node/logs/{file}\n")), "{}", new.text);
        }
        let count = |text: &str, what: &str| text.matches(what).count();
        assert_eq!((count(&old.text, "MaxFileSize=8MB"), count(&old.text, "MaxBackupIndex=4")), (3, 3));
        assert_eq!((count(&new.text, "size.size=8MB"), count(&new.text, "strategy.max=4")), (3, 3));
    }
}
