//! What a command works with: settings, the client, the output, and the project it is about.

use crate::{
    client::{Client, Doc, Extent, call::Call, call::path},
    error::{Error, Result},
    render::Output,
    resolve,
    settings::Settings,
};
use control_plane_api::{id::ProjectId, tenancy::Project};

#[derive(Debug)]
pub struct Context {
    pub settings: Settings,
    pub client: Client,
    pub out: Output,
}

/// A project: where the paths of its resources begin.
#[derive(Debug, Clone)]
pub struct Scope {
    pub id: String,
}

impl Scope {
    pub fn path(&self, rest: &[&str]) -> Vec<String> {
        let base = ["v1", "projects", self.id.as_str()];
        base.iter().chain(rest).map(|segment| (*segment).to_owned()).collect()
    }
}

impl Context {
    pub fn new(settings: Settings) -> Result<Self> {
        let client = Client::new(&settings)?;
        let out = Output::new(settings.format.clone(), settings.color);
        Ok(Self { settings, client, out })
    }

    /// The project of this call: `--project`, else the profile's, else the only one there is.
    pub async fn project(&self) -> Result<Scope> {
        match &self.settings.project {
            Some(wanted) if wanted.parse::<ProjectId>().is_ok() => Ok(Scope { id: wanted.clone() }),
            Some(wanted) => {
                let projects = self.projects().await?;
                let project = resolve::by_name("project", wanted, &projects, |p| (&p.name, p.id.to_string()))?;
                Ok(Scope { id: project.id.to_string() })
            }
            None => {
                let projects = self.projects().await?;
                match projects.as_slice() {
                    [] => Err(Error::NotFound {
                        message: "you are a member of no project; `sluice project create NAME` makes one".to_owned(),
                        near: Vec::new(),
                    }),
                    [only] => Ok(Scope { id: only.id.to_string() }),
                    several => {
                        let names: Vec<_> = several.iter().map(|project| project.name.as_str()).collect();
                        Err(Error::Usage(format!(
                            "which project? one of {}: name it with --project, SLUICE_PROJECT or `sluice profile edit`",
                            names.join(", ")
                        )))
                    }
                }
            }
        }
    }

    pub async fn projects(&self) -> Result<Vec<Project>> {
        let docs: Vec<Doc<Project>> = self.client.list(Call::get(path("v1/projects")), Extent::All).await?;
        docs.iter().map(Doc::typed).collect()
    }

    /// `--wait`, `--no-wait`, or what the command does without them.
    pub fn waits(&self, by_default: bool) -> bool {
        self.settings.wait.unwrap_or(by_default)
    }
}
