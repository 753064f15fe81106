//! The partitions, compared with botocore's list.

use berth_core::message::partition::{partition_of, registry_region};
use serde_json::json;

use crate::moto;

#[test]
fn every_region_of_botocore_has_its_partition_and_its_registry() {
    let regions = moto::botocore("partitions.py", &json!(null));
    let regions = regions.as_array().unwrap();
    assert!(regions.len() > 40, "{regions:?}");
    for one in regions {
        let [partition, region, domain] = [0, 1, 2].map(|at| one[at].as_str().unwrap());
        assert_eq!(partition_of(region), partition, "{region}");
        for name in ["dkr.ecr", "dkr.ecr-fips"] {
            let host = format!("123456789012.{name}.{region}.{domain}");
            assert_eq!(registry_region(&host), Some(region), "{host}");
        }
    }
}
