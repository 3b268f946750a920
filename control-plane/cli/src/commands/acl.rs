//! Access rules: Kafka's ACL bindings of an instance.

use super::{instance::plan_text, job};
use crate::{
    args::{ListArgs, word},
    client::call::Call,
    context::{Context, Scope},
    error::{Error, Result},
    prompt, resolve,
};
use clap::{Args, Subcommand};
use control_plane_api::{
    acl::{AclBinding, AclFilter, AclOperation, AclPattern, AclPatternFilter, AclPermission, AclResource, CreateAcls},
    instance::{Instance, Plan},
};

/// What a deletion takes, in a question.
pub(super) const RULES: &str = "access rules";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Access rules, also those made through Kafka's own tools
    List {
        /// Name or id of the instance
        instance: String,
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Make access rules: one for each principal and operation
    Add(Add),
    /// Delete the access rules that fit
    Remove {
        /// Name or id of the instance
        instance: String,
        #[command(flatten)]
        filter: Filter,
        /// Show what would go, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub struct Add {
    /// Name or id of the instance
    instance: String,
    /// User:NAME, User:* for everybody, User:ANONYMOUS for clients without a login, User:CN=…,OU=… for a certificate's subject
    #[arg(long, value_name = "A,B,C", required = true)]
    principal: Vec<String>,
    /// topic, group, cluster, transactional-id, delegation-token or user
    #[arg(long, value_name = "TYPE", value_parser = word::<AclResource>, default_value = "topic")]
    resource: AclResource,
    /// Name of the resource; `*` for every name, kafka-cluster for the cluster
    #[arg(long)]
    name: String,
    /// literal, or prefixed for all names that begin so
    #[arg(long, value_name = "KIND", value_parser = word::<AclPattern>, default_value = "literal")]
    pattern: AclPattern,
    /// all, read, write, create, delete, alter, describe, describe-configs, alter-configs, …
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', value_parser = word::<AclOperation>, required = true)]
    operation: Vec<AclOperation>,
    /// Forbid instead of allow; a denial wins over every permission
    #[arg(long)]
    deny: bool,
    /// Show what would be made, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Filter {
    /// User:NAME
    #[arg(long)]
    principal: Option<String>,
    /// topic, group, cluster, transactional-id, delegation-token or user
    #[arg(long, value_name = "TYPE", value_parser = word::<AclResource>)]
    resource: Option<AclResource>,
    /// Name of the resource
    #[arg(long)]
    name: Option<String>,
    /// literal, prefixed, any, or match for every rule that holds for the name
    #[arg(long, value_name = "KIND", value_parser = word::<AclPatternFilter>)]
    pattern: Option<AclPatternFilter>,
    /// read, write, …
    #[arg(long, value_parser = word::<AclOperation>)]
    operation: Option<AclOperation>,
    /// allow or deny
    #[arg(long, value_parser = word::<AclPermission>)]
    permission: Option<AclPermission>,
}

impl Filter {
    /// The call with the filter as its query.
    fn applied(self, call: Call) -> Result<Call> {
        let filter = AclFilter {
            resource_type: self.resource,
            resource_name: self.name,
            pattern_type: self.pattern,
            principal: self.principal,
            host: None,
            operation: self.operation,
            permission: self.permission,
        };
        call.queries(&filter)
    }
}

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    let scope = ctx.project().await?;
    match command {
        Command::List { instance, filter, list } => {
            let call = filter.applied(Call::get(path(ctx, &scope, &instance).await?.1))?;
            ctx.out.list(&ctx.client.list::<AclBinding>(call, list.extent()).await?)
        }
        Command::Add(add) => {
            let (instance, path) = path(ctx, &scope, &add.instance).await?;
            let permission = if add.deny { AclPermission::Deny } else { AclPermission::Allow };
            let binding = |principal: &String, operation: &AclOperation| AclBinding {
                resource_type: add.resource,
                resource_name: add.name.clone(),
                pattern_type: add.pattern,
                principal: principal.clone(),
                host: "*".to_owned(),
                operation: *operation,
                permission,
            };
            let principals = principals(&add.principal)?;
            let bindings = principals.iter().flat_map(|who| add.operation.iter().map(move |what| binding(who, what)));
            let call = Call::post(path).json(&CreateAcls { bindings: bindings.collect() })?;
            carry_out(ctx, &scope, &instance.name, call, add.dry_run, None).await
        }
        Command::Remove { instance, filter, dry_run } => {
            let (instance, path) = path(ctx, &scope, &instance).await?;
            let call = filter.applied(Call::delete(path))?;
            if call.query.is_empty() {
                return Err(Error::Usage("say which: --principal, --resource, --name, --operation …".to_owned()));
            }
            carry_out(ctx, &scope, &instance.name, call, dry_run, Some(RULES)).await
        }
    }
}

/// What a list with commas names: a certificate's subject has some of its own, so that only those part it which a `User:` follows.
fn principals(lists: &[String]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for list in lists {
        let mut rest = list.as_str();
        while let Some(at) = rest.find(",User:") {
            found.push(rest[..at].to_owned());
            rest = &rest[at + 1..];
        }
        found.push(rest.to_owned());
    }
    match found.iter().find(|principal| principal.contains(',') && !principal.contains('=')) {
        Some(wrong) => Err(Error::Usage(format!("{wrong} is no list of principals: each begins with User:"))),
        None => Ok(found),
    }
}

async fn path(ctx: &Context, scope: &Scope, wanted: &str) -> Result<(Instance, Vec<String>)> {
    let instance = resolve::instance(ctx, scope, wanted).await?.typed()?;
    let path = scope.path(&["instances", &instance.id.to_string(), "acls"]);
    Ok((instance, path))
}

/// Plans or starts a change of rules. `takes`: what of it would go is counted and asked for first.
pub(super) async fn carry_out(
    ctx: &Context,
    scope: &Scope,
    name: &str,
    call: Call,
    dry_run: bool,
    takes: Option<&str>,
) -> Result<()> {
    let plan = async || ctx.client.fetch::<Plan>(&call.clone().query("dry_run", true)).await;
    if dry_run {
        let plan = plan().await?;
        return ctx.out.value(&plan.value, name, &plan_text(&plan.typed()?));
    }
    if let Some(what) = takes.filter(|_| !ctx.settings.yes) {
        let gone = plan().await?.typed()?.changes.len();
        prompt::confirm(&ctx.settings, &format!("{gone} {what} will go (--dry-run shows them)."))?;
    }
    let started = ctx.client.fetch(&call.keyed()).await?;
    job::finish(ctx, scope, started, true).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_of_a_subject_part_no_list() {
        let list = |text: &str| principals(&[text.to_owned()]).map_err(|error| error.to_string());
        let names = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(list("User:shop"), names(&["User:shop"]));
        assert_eq!(
            list("User:shop,User:CN=Acme\\, Inc.,OU=web,User:*"),
            names(&["User:shop", "User:CN=Acme\\, Inc.,OU=web", "User:*"])
        );
        assert!(list("User:shop,cart").is_err());
    }
}
