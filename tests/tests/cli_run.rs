//! `apolo run` on a real API server. No node is there: what kubelet would say of a Pod, a test says, so that each state is met.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "it says how many rows there are")]

mod cli_run {
    mod kubelet;
    mod made;
    mod rights;
    mod states;
    mod stopped;
    mod without;
    mod wrong;
}
