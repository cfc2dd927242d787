//! `apolo acl`, `apolo share` and `apolo whoami` as people use them, on a real API server with the webhook and the controller.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "it says how many rows there are")]

mod cli_acl {
    mod again;
    mod can;
    mod listed;
    mod manager;
    mod revoked;
    mod scene;
    mod sharing;
    mod without;
    mod wrong;
}
