//! Keeps webhooks away from link-local and metadata addresses, where clouds hand out credentials.
//!
//! The check is made on what a name resolves to, at every connect, so that a name cannot be pointed there
//! later. Loopback and private networks are allowed.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

/// Metadata services outside the link-local networks: one cloud's IPv6 address, and another's IPv4 one.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

/// A name leads only to addresses that are not allowed.
#[derive(Debug, Error)]
#[error("{0} is a link-local or metadata address, which is not allowed")]
pub(super) struct Forbidden(pub(super) IpAddr);

/// Whether nothing is sent to this address.
pub(super) fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4 == METADATA_V4,
        IpAddr::V6(v6) => {
            let embedded =
                v6.to_ipv4_mapped().or_else(|| translated(v6)).is_some_and(|v4| is_forbidden(v4.into()));
            v6.is_unicast_link_local() || v6 == METADATA_V6 || embedded
        }
    }
}

/// The IPv4 address behind the well-known NAT64 prefix 64:ff9b::/96.
fn translated(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    match v6.octets() {
        [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d)),
        _ => None,
    }
}

/// Whether `error` was caused by this guard.
pub(super) fn forbidden<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Forbidden> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<Forbidden>() {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

/// Resolves names and leaves out forbidden addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct GuardedResolver;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(allowed(found)?)
        })
    }
}

fn allowed(found: Vec<SocketAddr>) -> Result<Addrs, Forbidden> {
    let (forbidden, allowed): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| is_forbidden(address.ip()));
    match forbidden.first() {
        Some(address) if allowed.is_empty() => Err(Forbidden(address.ip())),
        Some(_) | None => Ok(Box::new(allowed.into_iter())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn link_local_and_metadata_addresses_are_forbidden_in_every_disguise() {
        for text in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "febf::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fd00:ec2::254",
            "100.100.100.200",
        ] {
            assert!(is_forbidden(ip(text)), "{text}");
        }
        for text in [
            "127.0.0.1",
            "::1",
            "10.0.0.1",
            "192.168.1.1",
            "fd00::1",
            "8.8.8.8",
            "2001:db8::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(!is_forbidden(ip(text)), "{text}");
        }
    }

    #[test]
    fn a_name_that_also_leads_elsewhere_is_used_there_only() {
        let found =
            |texts: &[&str]| texts.iter().map(|text| SocketAddr::new(ip(text), 0)).collect::<Vec<_>>();
        let left: Vec<_> = allowed(found(&["169.254.169.254", "10.0.0.1"])).unwrap().collect();
        assert_eq!(left, found(&["10.0.0.1"]));
        assert_eq!(allowed(found(&["fe80::1"])).err().unwrap().0, ip("fe80::1"));
        assert_eq!(allowed(vec![]).unwrap().count(), 0);
    }
}
