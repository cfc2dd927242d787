//! After a storm: what is left is what the grants, Pods and Secrets that are left give; and when they go, nothing is.

use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};

use super::town::{SECRETS, Town};
use crate::{
    eventually::{DEADLINE, eventually},
    namespace::Namespace,
    oracle::deliveries::Deliveries,
};

/// By when all is right with a leader.
const SOON: Duration = Duration::from_secs(10);

impl Town<'_> {
    /// Holds that all comes to be as it should: at rest, with fewer grants, without Pods, and without grants.
    ///
    /// # Errors
    /// What is left that should not be.
    pub async fn calms(&self) -> anyhow::Result<()> {
        self.rests(DEADLINE).await.context("when the storm is over")?;
        for owner in self.owners {
            let grants = owner.grants().list(&ListParams::default()).await?.items;
            for grant in grants.iter().step_by(2).filter_map(|grant| grant.metadata.name.as_deref()) {
                owner.grants().delete(grant, &DeleteParams::default()).await?;
            }
        }
        self.rests(SOON).await.context("when every other grant is deleted")?;
        for destination in self.destinations {
            let now = DeleteParams::default().grace_period(0);
            destination.api::<Pod>().delete_collection(&now, &ListParams::default()).await?;
        }
        for destination in self.destinations {
            no_copies(destination).await.context("when there are no Pods")?;
        }
        for owner in self.owners {
            owner.grants().delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        }
        for owner in self.owners {
            nothing_granted(owner).await.context("when there are no grants")?;
        }
        Ok(())
    }

    async fn rests(&self, deadline: Duration) -> anyhow::Result<()> {
        let identities = self.identities();
        Deliveries::rest(&self.client, &self.names, deadline).await?;
        for owner in self.owners {
            owner.rests_for(deadline, &identities, &SECRETS).await?;
        }
        Ok(())
    }
}

async fn no_copies(destination: &Namespace) -> anyhow::Result<()> {
    let none = async || match destination.copies().await {
        Ok(copies) if copies.is_empty() => Ok(()),
        Ok(copies) => Err(format!("{} are left", copies.len())),
        Err(error) => Err(error.to_string()),
    };
    Ok(eventually("no copy is left", none).await?)
}

async fn nothing_granted(owner: &Namespace) -> anyhow::Result<()> {
    let none = async || match owner.owned().await {
        Ok(owned) if owned.iter().all(std::collections::BTreeSet::is_empty) => Ok(()),
        other => Err(format!("{other:?}")),
    };
    Ok(eventually("no Role and no RoleBinding is left", none).await?)
}
