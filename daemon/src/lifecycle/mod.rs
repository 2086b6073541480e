//! From start to end: signals, what systemd is told, and the watchdog.
