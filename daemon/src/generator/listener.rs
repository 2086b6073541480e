//! The socket unit of a listener: systemd binds its addresses and hands them to the gate by name.
//!
//! So the gate needs no privilege for ports below 1024, and connections wait while it restarts.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::{HEAD, TARGET};
use crate::config::settings::Listener;
use crate::listen::bind::BACKLOG;

/// What the socket unit of a listener is called.
#[must_use]
pub fn unit(name: &str) -> String {
    format!("toolgated-{name}.socket")
}

/// The unit's text; none where the gate has to bind by itself, since systemd chooses no port.
pub(super) fn render(listener: &Listener) -> Option<String> {
    if listener.addresses.iter().any(|address| address.port() == 0) {
        return None;
    }
    let mut text = format!(
        "{HEAD}\n\
         [Unit]\n\
         Description=Toolgate's listener {name}\n\
         Documentation=man:toolgated(8)\n\
         PartOf={TARGET}\n\
         After={TARGET}\n\n\
         [Socket]\n\
         # The gate finds its sockets by this name.\n\
         FileDescriptorName={name}\n\
         Service=toolgated.service\n\
         # Each address stands for itself: [::] takes no IPv4.\n\
         BindIPv6Only=ipv6-only\n\
         Backlog={BACKLOG}\n\
         NoDelay=yes\n\
         # A client that waits starts a gate that cannot start again and again: that is no reason to close the port.\n\
         TriggerLimitIntervalSec=0\n",
        name = listener.name
    );
    if listener.addresses.iter().any(is_of_one_network) {
        text.push_str("# At the start of the machine the address may not be there yet.\nFreeBind=yes\n");
    }
    for address in &listener.addresses {
        let _ = writeln!(text, "ListenStream={address}");
    }
    Some(text)
}

/// Neither the wildcard nor loopback, which every machine has at once.
fn is_of_one_network(address: &SocketAddr) -> bool {
    !address.ip().is_unspecified() && !address.ip().is_loopback()
}
