//! What servers are shown of the gate and of its clients: secrets that change, credentials of clients, tokens.

mod clients;
mod files;
mod granted;
mod stage;
mod users;
