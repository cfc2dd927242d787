//! `apolo secret` as people use it, on a real API server.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "it says how many rows there are")]

mod cli_secrets {
    mod add;
    mod get;
    mod ls;
    mod others;
    mod rm;
    mod round_trips;
    mod state;
    mod wrong;
}
