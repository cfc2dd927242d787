//! `apolo share`: the same as `apolo acl grant`.

use clap::Args;

use super::acl::grant::Granting;

/// Share a secret: let somebody use it in jobs, read it, replace it, or share it further
///
/// He gets no copy of it: he names it, and his jobs get what it is when they start. To take it back: apolo acl revoke.
#[derive(Args)]
#[command(after_help = "\
Examples:
  apolo share secret:secret-password bob               # to read, and for jobs in namespace bob
  apolo share secret:secret-password bob use           # only his jobs use it
  apolo share secret:secret-password group:ml-team --to jobs --to nightly
  apolo share secret:aws-key serviceaccount:jobs/trainer --expires 7d

The same as apolo acl grant. Exit codes: 0 it is shared, 2 wrong usage, 3 no such namespace, 4 not allowed, 5 another grant is in \
the way, 124 it is granted, and was not in force within 5 seconds.")]
pub(crate) struct ShareArgs {
    #[command(flatten)]
    pub(crate) granting: Granting,
}
