//! What a person does with secrets, as that person, with nothing but his own kubeconfig: for the command `apolo`, the console and
//! `apolo-secrets check`.
//!
//! Each module is a thing that people do. Their errors name the object and say of which [`Kind`](explained::Kind) they are, and
//! what mends them; a value travels only as a [`SecretValue`](value::SecretValue).

pub mod caller;
pub mod check;
pub mod cluster;
pub mod connection;
pub mod contexts;
pub mod dry_run;
pub mod explained;
pub mod grants;
pub mod jobs;
pub mod may;
pub mod namespaces;
pub mod received;
pub mod request;
pub mod secrets;
pub mod service;
pub mod subjects;
pub mod target;
pub mod value;
