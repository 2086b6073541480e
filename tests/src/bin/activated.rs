//! `activated PROGRAM ARGUMENTS`: becomes a program that was handed descriptors as systemd hands them.
//!
//! They come over its standard input, `LISTEN_FDS` of them, and arrive where the program looks for them: at 3, 4, …
//! What only the process itself can know, its id, is added to its environment.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use toolgate_tests::systemd::AT_ONCE;

fn main() -> io::Result<()> {
    let wanted: usize = std::env::var("LISTEN_FDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut descriptors = Vec::new();
    while descriptors.len() < wanted {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let received = recvmsg(io::stdin(), &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::empty())?;
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
    }
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let by_number: BTreeMap<_, _> = descriptors.iter().map(AsRawFd::as_raw_fd).zip(names.split(':')).collect();
    let end = by_number.keys().next_back().map_or(3, |last| last + 1);
    // Whoever started the test may have left a descriptor open.
    let names: Vec<_> = (3..end).map(|number| *by_number.get(&number).unwrap_or(&"inherited")).collect();
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().expect("a program");
    let pid = std::process::id().to_string();
    Err(Command::new(program)
        .args(arguments)
        .env("LISTEN_PID", pid)
        .env("LISTEN_FDS", names.len().to_string())
        .env("LISTEN_FDNAMES", names.join(":"))
        .stdin(Stdio::null())
        .exec())
}
