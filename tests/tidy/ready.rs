//! What `/ready` may give as a reason is a closed list: the type and the table in the docs have the same sentences.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use berth_core::view::ReadyReason;

#[test]
fn the_table_of_the_reasons_has_every_sentence_of_the_type_and_no_other() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md");
    let page = fs::read_to_string(page).unwrap();
    let table = page.lines().skip_while(|line| !line.starts_with("| `reason` |")).skip(2);
    let documented: Vec<&str> = table.map_while(|line| line.strip_prefix("| ")?.split(" | ").next()).collect();
    let sentences = ReadyReason::ALL.iter().map(|reason| reason.sentence()).collect::<Vec<_>>();
    assert_eq!(documented.iter().collect::<BTreeSet<_>>(), sentences.iter().collect::<BTreeSet<_>>());
    assert_eq!(documented.len(), sentences.len());
}
