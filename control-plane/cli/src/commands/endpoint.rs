//! Endpoints: what clients of other networks are told, and whose endpoints may be used.

use super::access::{apply, switch_text};
use crate::{
    client::{Doc, call::Call},
    context::{Context, Scope},
    error::{Error, Result},
    resolve,
};
use clap::Subcommand;
use control_plane_api::access::{Access, BrokerAddress, EndpointAccount, UpdateAccess};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tell clients that come by 9011 these addresses, one for each broker
    Tell {
        /// Name or id
        instance: String,
        /// Broker's number and the address of its endpoint, for every broker; port 9011 without one
        #[arg(required = true, value_name = "BROKER=HOST[:PORT]", value_parser = broker_address)]
        addresses: Vec<BrokerAddress>,
        /// Show what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Tell them the brokers' private addresses
    Reset {
        /// Name or id
        instance: String,
        /// Show what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Let an account's endpoints reach 9011
    Allow {
        /// Name or id
        instance: String,
        /// Organisation or project: org_… or prj_…
        account: String,
        /// Addresses and networks that its endpoints come from, as 10.1.0.0/16; all of them
        #[arg(long = "from", required = true, value_name = "A,B,C", value_delimiter = ',')]
        ips: Vec<String>,
        /// Show what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Do not let them any more; their connections end
    Forbid {
        /// Name or id
        instance: String,
        /// Organisation or project: org_… or prj_…
        account: String,
        /// Show what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

pub async fn run(ctx: &Context, scope: &Scope, command: Command) -> Result<()> {
    let told = |addresses| UpdateAccess { cross_network_addresses: Some(addresses), ..UpdateAccess::default() };
    match command {
        Command::Tell { instance, addresses, dry_run } => {
            apply(ctx, scope, &instance, &told(Some(addresses)), dry_run, None).await
        }
        Command::Reset { instance, dry_run } => apply(ctx, scope, &instance, &told(None), dry_run, None).await,
        Command::Allow { instance, account, ips, dry_run } => {
            let allow = |accounts: &mut Vec<EndpointAccount>| {
                accounts.retain(|known| known.account != account);
                accounts.push(EndpointAccount { account: account.clone(), ips });
                Ok(())
            };
            change_accounts(ctx, scope, &instance, dry_run, allow).await
        }
        Command::Forbid { instance, account, dry_run } => {
            let forbid = |accounts: &mut Vec<EndpointAccount>| {
                let before = accounts.len();
                accounts.retain(|known| known.account != account);
                let found = accounts.len() < before;
                found.then_some(()).ok_or_else(|| Error::Usage(format!("{account} is not on the list")))
            };
            change_accounts(ctx, scope, &instance, dry_run, forbid).await
        }
    }
}

/// Writes the list anew, unless somebody else has meanwhile.
async fn change_accounts(
    ctx: &Context,
    scope: &Scope,
    wanted: &str,
    dry_run: bool,
    change: impl FnOnce(&mut Vec<EndpointAccount>) -> Result<()>,
) -> Result<()> {
    // First the version, then what is changed: a change in between is refused.
    let instance = resolve::instance(ctx, scope, wanted).await?.typed()?;
    let id = instance.id.to_string();
    let shown: Doc<Access> = ctx.client.fetch(&Call::get(scope.path(&["instances", &id, "access"]))).await?;
    let mut accounts = shown.typed()?.endpoint_accounts;
    change(&mut accounts)?;
    let update = UpdateAccess { endpoint_accounts: Some(Some(accounts)), ..UpdateAccess::default() };
    apply(ctx, scope, &id, &update, dry_run, Some(&instance.etag)).await
}

/// Lines of the access that are about endpoints.
pub fn details(access: &Access) -> Vec<(String, String)> {
    let lines = |lines: Vec<String>, none: &str| if lines.is_empty() { none.to_owned() } else { lines.join(", ") };
    let told =
        access.cross_network_addresses.iter().map(|told| format!("{}={}:{}", told.broker_id, told.host, told.port));
    let accounts = access.endpoint_accounts.iter().map(|one| format!("{} from {}", one.account, one.ips.join(", ")));
    vec![
        ("Across networks (9011)".to_owned(), switch_text(access.cross_network)),
        ("Endpoints".to_owned(), lines(told.collect(), "the private addresses")),
        ("Accounts".to_owned(), lines(accounts.collect(), "none")),
    ]
}

/// `0=kafka-0.acme.example:9101`, `1=[fd00::1]:9011`, `2=10.1.2.3`.
fn broker_address(text: &str) -> std::result::Result<BrokerAddress, String> {
    let wrong = || "a broker's number and its address: 0=kafka-0.acme.example:9011".to_owned();
    let (broker_id, address) = text.split_once('=').ok_or_else(wrong)?;
    let broker_id = broker_id.parse().map_err(|_| wrong())?;
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or_else(wrong)?)),
        // More than one colon without brackets: an IPv6 address alone.
        None if address.matches(':').count() == 1 => {
            let (host, port) = address.split_once(':').ok_or_else(wrong)?;
            (host, Some(port))
        }
        None => (address, None),
    };
    let port = port.map_or(Ok(9011), |port| port.parse().map_err(|_| wrong()))?;
    Ok(BrokerAddress { broker_id, host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_given_with_or_without_its_port() {
        let parse = |text| broker_address(text).map(|told| (told.broker_id, told.host, told.port));
        assert_eq!(parse("0=kafka.example:9101"), Ok((0, "kafka.example".to_owned(), 9101)));
        assert_eq!(parse("2=10.1.2.3"), Ok((2, "10.1.2.3".to_owned(), 9011)));
        assert_eq!(parse("1=[fd00::1]:9101"), Ok((1, "fd00::1".to_owned(), 9101)));
        assert_eq!(parse("1=[fd00::1]"), Ok((1, "fd00::1".to_owned(), 9011)));
        assert_eq!(parse("1=fd00::1"), Ok((1, "fd00::1".to_owned(), 9011)));
        for wrong in ["kafka.example", "x=kafka.example", "0=kafka.example:port", "0=[fd00::1]9011", "0=a:70000"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
