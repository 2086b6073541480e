//! Nothing is lost when the gate leaves.
