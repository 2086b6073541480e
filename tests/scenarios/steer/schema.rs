//! The document of the interface, and a daemon that keeps to it.
