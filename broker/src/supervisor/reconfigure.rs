//! placeholder
use crate::directory::NodeDirectory;
use crate::spec::Change;
use broker_api::spec::NodeSpec;

pub async fn apply(_directory: &NodeDirectory, _spec: &NodeSpec, _change: &Change) -> Result<(), String> {
    Err("not yet".into())
}
