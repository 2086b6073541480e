//! What the gate does with arguments, answers and tools that change, as clients of both eras and operators see it.

mod cache;
mod guard;
mod lists;
mod pins;
mod stage;
