//! Which client addresses may connect.

use super::error::GatewayError;
use broker_api::spec;
use ipnet::IpNet;
use std::net::IpAddr;

/// See [`spec::IpRules`].
#[derive(Debug)]
pub(super) struct IpRules {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
}

impl IpRules {
    pub(super) fn parse(rules: &spec::IpRules) -> Result<Self, GatewayError> {
        Ok(Self { allow: networks("ip_rules.allow", &rules.allow)?, deny: networks("ip_rules.deny", &rules.deny)? })
    }

    pub(super) fn admit(&self, client: IpAddr) -> bool {
        !within(&self.deny, client) && (self.allow.is_empty() || within(&self.allow, client))
    }
}

/// Whether one of the networks holds the client.
pub(super) fn within(networks: &[IpNet], client: IpAddr) -> bool {
    // An IPv4 client of an IPv6 socket is the same client.
    let client = client.to_canonical();
    networks.iter().any(|network| network.contains(&client))
}

/// The networks that a field of the spec names.
pub(super) fn networks(field: &str, texts: &[String]) -> Result<Vec<IpNet>, GatewayError> {
    let parse = |text: &String| {
        text.parse().map_err(|_| GatewayError::invalid(format!("{field}: {text:?} is no network as 10.1.0.0/16")))
    };
    texts.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> IpRules {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        IpRules::parse(&spec::IpRules { allow: owned(allow), deny: owned(deny) }).unwrap()
    }

    #[test]
    fn denial_is_stronger_and_an_empty_list_allows_all() {
        let client = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(rules(&[], &[]).admit(client("10.1.2.3")));
        let some = rules(&["10.1.0.0/16", "fd00::/8"], &["10.1.2.0/24"]);
        assert!(some.admit(client("10.1.3.1")) && some.admit(client("fd00::1")));
        assert!(some.admit(client("::ffff:10.1.3.1")), "an IPv4 address in IPv6 form");
        assert!(!some.admit(client("10.1.2.3")) && !some.admit(client("10.2.0.1")));
        assert!(!rules(&[], &["127.0.0.0/8"]).admit(client("127.0.0.1")));
    }

    #[test]
    fn what_is_no_network_is_refused_with_its_list() {
        let refusal = IpRules::parse(&spec::IpRules { allow: Vec::new(), deny: vec!["orders".into()] }).unwrap_err();
        assert!(refusal.to_string().contains("ip_rules.deny: \"orders\""), "{refusal}");
    }
}
