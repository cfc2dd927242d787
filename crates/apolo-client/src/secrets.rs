//! The secrets of a namespace: what `apolo secret` does.

mod add;
mod list;
mod read;
mod remove;
mod stored;
mod ties;

pub use add::{AddError, Added, add, check};
pub use list::{Found, List, ListError, list};
pub use read::{ReadError, read};
pub use remove::{Doomed, RemoveError, Removed, find, remove};
pub use stored::{InTheWay, LARGEST};
pub use ties::{Grants, Holder, Uses, grants, pods};
