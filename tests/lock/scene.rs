//! Which area do the tests of its bytes speak of?

use std::time::Duration;

use floatlock::wire::disk::{AreaId, CopyOf, Header, Member, Times};

pub(crate) const AREA: AreaId = AreaId([
    0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf,
]);

pub(crate) fn member(number: u8, name: &str) -> Member {
    Member {
        number,
        name: name.to_owned(),
    }
}

/// Of two nodes, with the usual times.
pub(crate) fn header() -> Header {
    Header {
        area: AREA,
        created_ms: 1,
        times: Times::of(Duration::from_secs(5)).unwrap(),
        cluster: "shop-front".to_owned(),
        members: vec![member(0, "lb-a"), member(1, "lb-b")],
        copy: CopyOf::ALONE,
    }
}
