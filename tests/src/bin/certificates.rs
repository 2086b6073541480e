//! `certificates FOLDER`: writes an authority and a certificate for `localhost` into FOLDER.

use std::path::Path;

use toolgate_tests::certificates::Certificates;

fn main() {
    let folder = std::env::args().nth(1).expect("usage: certificates FOLDER");
    let written = Certificates::write(Path::new(&folder));
    println!("{}", written.ca.display());
}
