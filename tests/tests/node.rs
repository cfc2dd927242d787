//! On a real node: what is asked for is in the container. `cluster run --node` starts one for all tests here, with the webhook and the
//! controller in Pods from the image.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

mod node {
    mod itself;
    mod run;
    mod shared;
    mod values;
}
